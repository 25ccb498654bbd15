"""Approvals of recipes: a file for each recipe and revision, beside the recipes, with the signatures under it.

`approvals/<pack>-<revision>.json` is only ever added to: a signature under an earlier state of the recipe stays, and
counts no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bmsctl.compose.signing_keys import genuine, public_of, sign
from bmsctl.domain.approval import Approval, Meaning, Signature, meaning_of_next, weigh
from bmsctl.domain.canonical import read_json
from bmsctl.domain.packml import Mode
from bmsctl.domain.people import Person, Role, find
from bmsctl.domain.permissions import Action, require_permitted
from bmsctl.domain.recipe import Recipe
from bmsctl.errors import Refused, StoreError, StoreTooNew
from bmsctl.store.people import Change, PeopleFile
from bmsctl.store.whole_file import only_writer, read_file, replace_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = "approvals"
"""Of the recipes folder."""
SCHEMA = 1
BYTES_MAX = 1024 * 1024
REMEDY = "restore it, or set it aside and sign again"

_TEXTS = ("recipe", "revision", "sha256", "person", "name", "role", "meaning", "at", "public_key", "signature")


def approval_file(folder: Path, recipe: Recipe) -> Path:
    """Where the signatures of a recipe's revision are."""
    return folder / f"{quote(recipe.id, safe='')}-{quote(recipe.revision, safe='')}.json"


def approval_of(recipe: Recipe, folder: Path, people: Sequence[Person]) -> Approval:
    """Which signatures count for the recipe as it is.

    Raises:
        StoreError, StoreTooNew: its file cannot be read, is damaged, or a newer bmsctl wrote it.
    """
    return weigh(recipe, _signatures(approval_file(folder, recipe)), people, genuine)


def require_approved(recipe: Recipe, folder: Path, people: Sequence[Person]) -> None:
    """Return if an engineer and a person of quality have signed the recipe as it is.

    Raises:
        Refused: it is not approved; says what is missing, and why signatures that are there do not count.
        StoreError, StoreTooNew: as `approval_of`.
    """
    approval = approval_of(recipe, folder, people)
    if approval.missing:
        why = "; ".join((" and ".join(approval.missing), *approval.dismissed))
        raise Refused(
            f"recipe {recipe.id} revision {recipe.revision} is not approved, missing: {why}; sign it with "
            f"`bmsctl recipe approve {recipe.id} --as ID` (looked in {folder})"
        )


def approval_gate(folder: Path, people: PeopleFile) -> Callable[[Recipe], None]:
    """What a station asks before each pack in Production mode: `require_approved`, by the files as they are then."""
    return lambda recipe: require_approved(recipe, folder, people.read().people)


def may_sign(recipe: Recipe, folder: Path, people: PeopleFile, person_id: str, now: datetime) -> Person:
    """The person of that id, who could sign the recipe now.

    Raises:
        Refused: no such person, not entitled, without a registered key, or it would be the second signature of the
            same person or role.
        StoreError, StoreTooNew: people file or approvals cannot be read.
    """
    everybody = people.read().people
    person = find(everybody, person_id)
    if person is None:
        raise Refused(f"{people.path} knows no {person_id!r}; have an engineer or quality add them (bmsctl people add)")
    require_permitted(Action.SIGN_RECIPE, person, Mode.PRODUCTION, now.date())
    if person.key is None:
        raise Refused(f"no key is registered for {person.id}; make one with `bmsctl recipe keygen {person.id}`")
    meaning_of_next(approval_of(recipe, folder, everybody), recipe, person)
    return person


def sign_recipe(
    recipe: Recipe, folder: Path, people: PeopleFile, person_id: str, key: Ed25519PrivateKey, now: datetime
) -> Approval:
    """Sign the recipe as it is; the approval with the new signature, durable in its file.

    The signature is on the audit log of the people file first.

    Raises:
        Refused: as `may_sign`, or `key` is not the one registered for the person.
        StoreError, StoreTooNew: as `may_sign`, or a file cannot be written.
    """
    path, moment = approval_file(folder, recipe), now.astimezone(UTC).replace(microsecond=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with only_writer(path):
            person = may_sign(recipe, folder, people, person_id, now)
            if person.key is None or public_of(key) != person.key.public:
                raise Refused(f"this key is not the one registered for {person.id}; see `bmsctl people list`")
            signatures, everybody = _signatures(path), people.read().people
            meaning = meaning_of_next(weigh(recipe, signatures, everybody, genuine), recipe, person)
            made = _signed(recipe, person, meaning, key, moment)
            approval = weigh(recipe, [*signatures, made], everybody, genuine)
            if made not in approval.counting:
                raise Refused(f"{approval.dismissed[-1]}; see that this computer's clock is right")
            people.change(lambda now_known: Change(now_known, "recipe_signed", made.told(), None), moment)
            replace_file(path, _encoded([*signatures, made]), 0o644)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}; name another folder (--approvals)") from error
    return approval


def _signed(recipe: Recipe, person: Person, meaning: Meaning, key: Ed25519PrivateKey, at: datetime) -> Signature:
    unsigned = Signature(
        recipe=recipe.id,
        revision=recipe.revision,
        sha256=recipe.sha256,
        person=person.id,
        name=person.name,
        role=person.role,
        meaning=meaning,
        at=at,
        public_key=public_of(key),
    )
    return replace(unsigned, signature=sign(key, unsigned.statement()))


def _encoded(signatures: Sequence[Signature]) -> bytes:
    told = [signature.told() | {"signature": signature.signature} for signature in signatures]
    return (json.dumps({"schema": SCHEMA, "signatures": told}, ensure_ascii=False, indent=1) + "\n").encode()


def _signatures(path: Path) -> list[Signature]:
    """All signatures of a file, in order; none if there is no file. Raises as `approval_of`."""
    try:
        data = read_file(path, BYTES_MAX)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}; {REMEDY}") from error
    if len(data) > BYTES_MAX:
        raise StoreError(f"{path}: larger than {BYTES_MAX // 1024} KiB; {REMEDY}")
    try:
        value = read_json(data)
    except ValueError as error:
        raise StoreError(f"{path}: not JSON ({error}); {REMEDY}") from error
    schema = value.get("schema") if isinstance(value, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise StoreTooNew(f"{path}: written by a newer bmsctl (schema {schema}, this one knows {SCHEMA}); update this")
    if schema != SCHEMA or set(value) != {"schema", "signatures"} or not isinstance(value["signatures"], list):
        raise StoreError(f"{path}: not the signatures of a recipe; {REMEDY}")
    return [_signature(one, f"{path}: signature {n}") for n, one in enumerate(value["signatures"], start=1)]


def _signature(value: Any, where: str) -> Signature:
    if not isinstance(value, Mapping) or set(value) != set(_TEXTS) or not all(type(value[key]) is str for key in value):
        raise StoreError(f"{where}: not a table of the texts {', '.join(_TEXTS)}; {REMEDY}")
    try:
        at = datetime.fromisoformat(value["at"])
        if at.tzinfo is None:
            raise ValueError("its time does not say its offset from UTC")
        return Signature(**{**value, "role": Role(value["role"]), "meaning": Meaning(value["meaning"]), "at": at})
    except ValueError as error:
        raise StoreError(f"{where}: {error}; {REMEDY}") from error
