"""Two people sign a recipe: one engineer and one of quality, never the same person. What they sign is its hash.

One of them means "author", the other "approver". A signature counts while the recipe has the same hash, and
was made while its key was good: a person who leaves takes no approval along, a key that is no longer trusted does.
When it was made, its signer says; only the audit log of the people file knows it independently.

Source: IEC 62443-4-2 CR 2.1 RE 4 (dual approval); 21 CFR 11.50 (name, time and meaning), 11.70 (bound to the record).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bmsctl.domain.canonical import canonical_json
from bmsctl.domain.people import Person, Role, SigningKey
from bmsctl.domain.recipe import Recipe
from bmsctl.errors import Refused

SIGNING_ROLES = {Role.ENGINEER: "an engineer's signature", Role.QUALITY: "a signature of quality"}
"""Who must sign, and what it is called where it is missing."""
PURPOSE = "bmsctl recipe approval 1"
"""Signed along, so that a signature for anything else is none."""

Verify = Callable[[str, str, bytes], bool]
"""Whether a signature by a public key, both hexadecimal, is one of these bytes."""


class Meaning(StrEnum):
    """What a person says by signing."""

    AUTHOR = "author"
    APPROVER = "approver"


@dataclass(frozen=True, slots=True)
class Signature:
    """One person's signature under one state of a recipe. `signature`: Ed25519, 128 hexadecimal digits."""

    recipe: str
    revision: str
    sha256: str
    person: str
    name: str
    role: Role
    meaning: Meaning
    at: datetime
    public_key: str
    signature: str = ""

    def statement(self) -> bytes:
        """What is signed: everything but the signature, as canonical JSON."""
        return canonical_json({"purpose": PURPOSE, **self.told()}).encode()

    def told(self) -> dict[str, str]:
        """Its fields as text, without the signature."""
        return {
            "recipe": self.recipe,
            "revision": self.revision,
            "sha256": self.sha256,
            "person": self.person,
            "name": self.name,
            "role": self.role.value,
            "meaning": self.meaning.value,
            "at": self.at.isoformat(),
            "public_key": self.public_key,
        }


@dataclass(frozen=True)
class Approval:
    """The signatures that count for a recipe, in order, and why others do not."""

    counting: tuple[Signature, ...]
    dismissed: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """What is missing, for people; empty: approved."""
        signed = {signature.role for signature in self.counting}
        return tuple(text for role, text in SIGNING_ROLES.items() if role not in signed)


def weigh(recipe: Recipe, signatures: Sequence[Signature], people: Sequence[Person], verify: Verify) -> Approval:
    """Which signatures count for the recipe as it is.

    Args:
        people: those who are known, whoever has left included.
    """
    counting: list[Signature] = []
    dismissed = []
    for signature in signatures:
        why = _dismissal(recipe, signature, people, verify) or _doubled(signature, counting)
        if why is None:
            counting.append(signature)
        else:
            dismissed.append(f"the signature of {signature.name} ({signature.role}, {signature.at.date()}) {why}")
    return Approval(tuple(counting), tuple(dismissed))


def meaning_of_next(approval: Approval, recipe: Recipe, person: Person) -> Meaning:
    """What the person's signature will mean.

    Raises:
        Refused: it would be the second of the same person or role, or the recipe has both already.
    """
    named = f"{recipe.id} revision {recipe.revision}"
    if not approval.missing:
        names = " and ".join(f"{one.name} ({one.role})" for one in approval.counting)
        raise Refused(f"{named} is approved by {names} already; nothing is left to sign")
    for signature in approval.counting:
        if signature.person == person.id:
            raise Refused(f"{person.name} has signed {named} as {signature.meaning}; the other must be somebody else")
        if signature.role is person.role:
            other = next(role for role in SIGNING_ROLES if role is not person.role)
            raise Refused(f"{signature.name} has signed {named} as {signature.role}; the other must be {other}")
    return next(meaning for meaning in Meaning if meaning not in {one.meaning for one in approval.counting})


def _dismissal(recipe: Recipe, signature: Signature, people: Sequence[Person], verify: Verify) -> str | None:
    """Why a signature by itself does not count; None if it does."""
    if (signature.recipe, signature.revision) != (recipe.id, recipe.revision):
        return f"is for {signature.recipe} revision {signature.revision}"
    if signature.sha256 != recipe.sha256:
        return "does not count: the recipe was changed since"
    person = next((one for one in people if one.id == signature.person), None)
    key = None if person is None else _key(person, signature)
    if key is None:
        return "does not count: the people file does not know its key"
    if not verify(signature.public_key, signature.signature, signature.statement()):
        return "does not count: it is not genuine"
    if signature.role is not key.role:
        return f"does not count: its key was registered for {key.role}"
    if signature.role not in SIGNING_ROLES:
        return f"does not count: {signature.role} signs no recipes"
    if not key.good_at(signature.at):
        return "does not count: its key was not valid then"
    return None


def _doubled(signature: Signature, counting: Sequence[Signature]) -> str | None:
    for earlier in counting:
        if earlier.person == signature.person:
            return "does not count: the same person has signed before"
        if earlier.role is signature.role:
            return f"does not count: {earlier.name} has signed as {earlier.role} before"
        if earlier.meaning is signature.meaning:
            return f"does not count: {earlier.name} has signed as {earlier.meaning} before"
    return None


def _key(person: Person, signature: Signature) -> SigningKey | None:
    return next((key for key in person.keys if key.public == signature.public_key), None)
