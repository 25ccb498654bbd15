"""Approvals on disk: two people sign, whoever changes the recipe or the file undoes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bmsctl.compose.approvals import approval_file, approval_gate, approval_of, may_sign, require_approved, sign_recipe
from bmsctl.compose.signing_keys import public_of
from bmsctl.domain.approval import Meaning
from bmsctl.domain.people import Person, Role, SigningKey
from bmsctl.domain.recipe import STATIONS, Recipe
from bmsctl.errors import Refused, StoreError, StoreTooNew
from bmsctl.store.audit import read as read_log
from bmsctl.store.people import Change, PeopleFile
from tests.support.simulate import RECIPE

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ROLES = {"eva": Role.ENGINEER, "max": Role.ENGINEER, "quentin": Role.QUALITY, "ole": Role.OPERATOR}
KEYS = {name: Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n, name in enumerate(ROLES)}
CHANGED = Recipe.of(RECIPE.revision, replace(RECIPE.pack, u_nom=351.0), {s: RECIPE.steps(s) for s in STATIONS}, {})


@pytest.fixture
def people(tmp_path: Path) -> PeopleFile:
    """Everybody with a key, and Zoë of quality without one."""
    file = PeopleFile(tmp_path / "people.json")
    everybody = [
        Person(name, name.title(), role, "x", keys=(SigningKey(public_of(KEYS[name]), role, NOW),))
        for name, role in ROLES.items()
    ]
    for person in (*everybody, Person("zoe", "Zoë", Role.QUALITY, "x")):
        put(file, person)
    return file


def put(file: PeopleFile, person: Person) -> None:
    file.change(lambda people: Change(people.with_person(person), "person_changed", {}, None), NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "approvals"


@pytest.fixture
def approved(people: PeopleFile, folder: Path) -> Path:
    """The folder, with the recipe approved by Eva and Quentin."""
    for name in ("eva", "quentin"):
        sign_recipe(RECIPE, folder, people, name, KEYS[name], NOW)
    return folder


def test_two_people_approve(people: PeopleFile, folder: Path) -> None:
    first = sign_recipe(RECIPE, folder, people, "eva", KEYS["eva"], NOW)
    assert first.missing == ("a signature of quality",)
    with pytest.raises(Refused, match="not approved, missing: a signature of quality; sign it with `bmsctl recipe app"):
        require_approved(RECIPE, folder, people.read().people)
    second = sign_recipe(RECIPE, folder, people, "QUENTIN", KEYS["quentin"], NOW + timedelta(minutes=1))
    assert [(one.name, one.meaning) for one in second.counting] == [
        ("Eva", Meaning.AUTHOR),
        ("Quentin", Meaning.APPROVER),
    ]
    require_approved(RECIPE, folder, people.read().people)
    assert approval_of(RECIPE, folder, people.read().people) == second


def test_a_gate_sees_the_files_as_they_are_when_it_is_asked(people: PeopleFile, folder: Path) -> None:
    gate = approval_gate(folder, PeopleFile(people.path))
    with pytest.raises(Refused, match="not approved"):
        gate(RECIPE)
    for name in ("eva", "quentin"):
        sign_recipe(RECIPE, folder, people, name, KEYS[name], NOW)
    gate(RECIPE)
    eva = people.read().people[0]
    put(people, replace(eva, keys=tuple(replace(key, until=key.since) for key in eva.keys)))
    with pytest.raises(Refused, match="an engineer's signature"):
        gate(RECIPE)


def test_nobody_has_signed(people: PeopleFile, folder: Path) -> None:
    with pytest.raises(Refused, match="AS52 revision 1 is not approved, missing: an engineer's signature and a sign"):
        require_approved(RECIPE, folder, people.read().people)


def test_signatures_are_on_the_audit_log(people: PeopleFile, approved: Path) -> None:
    lines, problems = read_log(people.log, people.read().head)
    assert problems == []
    signed = [line.payload for line in lines if line.kind == "recipe_signed"]
    assert [(one["person"], one["sha256"], one["meaning"]) for one in signed] == [
        ("eva", RECIPE.sha256, "author"),
        ("quentin", RECIPE.sha256, "approver"),
    ]


def test_a_changed_recipe_is_signed_anew_and_says_so(people: PeopleFile, approved: Path) -> None:
    with pytest.raises(Refused, match=r"the signature of Eva .*does not count: the recipe was changed since"):
        require_approved(CHANGED, approved, people.read().people)
    for name in ("quentin", "eva"):
        sign_recipe(CHANGED, approved, people, name, KEYS[name], NOW)
    require_approved(CHANGED, approved, people.read().people)
    require_approved(RECIPE, approved, people.read().people)
    assert len(json.loads(approval_file(approved, RECIPE).read_bytes())["signatures"]) == 4


@pytest.mark.parametrize(
    ("signers", "said"),
    [
        (("eva", "eva"), "the other must be somebody else"),
        (("eva", "max"), "the other must be quality"),
        (("ole",), "sign a recipe: Ole is operator; ask somebody who is engineer or quality"),
        (("zoe",), "no key is registered for zoe"),
        (("nobody",), "knows no 'nobody'"),
        (("eva", "quentin", "max"), "approved by .* already; nothing is left to sign"),
    ],
)
def test_who_may_not_sign(people: PeopleFile, folder: Path, signers: tuple[str, ...], said: str) -> None:
    *before, last = signers
    for name in before:
        sign_recipe(RECIPE, folder, people, name, KEYS[name], NOW)
    with pytest.raises(Refused, match=said):
        may_sign(RECIPE, folder, people, last, NOW)
    path = approval_file(folder, RECIPE)
    there = path.read_bytes() if path.exists() else None
    with pytest.raises(Refused, match=said):
        sign_recipe(RECIPE, folder, people, last, KEYS.get(last, KEYS["eva"]), NOW)
    assert (path.read_bytes() if path.exists() else None) == there


def test_anothers_key_signs_nothing(people: PeopleFile, folder: Path) -> None:
    with pytest.raises(Refused, match="this key is not the one registered for eva"):
        sign_recipe(RECIPE, folder, people, "eva", KEYS["quentin"], NOW)


def test_a_signature_before_its_key_was_registered_is_not_made(people: PeopleFile, folder: Path) -> None:
    with pytest.raises(Refused, match="its key was not valid then; see that this computer's clock is right"):
        sign_recipe(RECIPE, folder, people, "eva", KEYS["eva"], NOW - timedelta(days=1))
    assert not approval_file(folder, RECIPE).exists()


def test_a_revoked_key_undoes_an_approval_and_another_may_sign(people: PeopleFile, approved: Path) -> None:
    eva = people.read().people[0]
    put(people, replace(eva, keys=tuple(replace(key, until=key.since) for key in eva.keys)))
    with pytest.raises(Refused, match=r"an engineer's signature; the signature of Eva .* its key was not valid then"):
        require_approved(RECIPE, approved, people.read().people)
    approval = sign_recipe(RECIPE, approved, people, "max", KEYS["max"], NOW)
    assert {one.meaning for one in approval.counting} == set(Meaning)
    require_approved(RECIPE, approved, people.read().people)


FIELDS = ("recipe", "revision", "sha256", "person", "name", "role", "meaning", "at", "public_key", "signature")


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_signature_is_signed(people: PeopleFile, approved: Path, field: str) -> None:
    path = approval_file(approved, RECIPE)
    content = json.loads(path.read_bytes())
    first, second = content["signatures"]
    first[field] = "2026-03-02T10:00:01+00:00" if field == "at" else second[field]
    if first[field] == json.loads(path.read_bytes())["signatures"][0][field]:
        first[field] = "0" * len(first[field])
    path.write_text(json.dumps(content))
    with pytest.raises(Refused, match="not approved"):
        require_approved(RECIPE, approved, people.read().people)


def test_a_file_of_another_recipe_approves_nothing(people: PeopleFile, approved: Path) -> None:
    other = Recipe.of("2", RECIPE.pack, {station: RECIPE.steps(station) for station in STATIONS}, {})
    approval_file(approved, RECIPE).rename(approval_file(approved, other))
    with pytest.raises(Refused, match="is for AS52 revision 1"):
        require_approved(other, approved, people.read().people)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content | {"schema": 0}, "not the signatures of a recipe"),
        (lambda content: content | {"more": 1}, "not the signatures of a recipe"),
        (lambda content: content | {"signatures": {}}, "not the signatures of a recipe"),
        (lambda content: [content], "not the signatures of a recipe"),
        (lambda content: content | {"signatures": [1]}, "signature 1: not a table of the texts"),
        (lambda content: edited(content, role="boss"), "signature 1: 'boss' is not a valid Role"),
        (lambda content: edited(content, meaning=""), "is not a valid Meaning"),
        (lambda content: edited(content, at="today"), "signature 1: Invalid isoformat"),
        (lambda content: edited(content, at="2026-03-02T10:00:00"), "does not say its offset from UTC"),
        (lambda content: edited(content, more="x"), "not a table of the texts"),
        (lambda content: edited(content, name=1), "not a table of the texts"),
    ],
)
def test_a_damaged_file_is_named(
    people: PeopleFile, approved: Path, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    path = approval_file(approved, RECIPE)
    path.write_text(json.dumps(change(json.loads(path.read_bytes()))))
    with pytest.raises(StoreError, match=said) as caught:
        require_approved(RECIPE, approved, people.read().people)
    assert str(path) in str(caught.value)


def edited(content: dict[str, Any], **changed: Any) -> dict[str, Any]:
    content["signatures"][0] |= changed
    return content


@pytest.mark.parametrize("data", [b"", b"\xff", b"{", b"x" * (1024 * 1024 + 1)])
def test_what_is_no_json(people: PeopleFile, approved: Path, data: bytes) -> None:
    approval_file(approved, RECIPE).write_bytes(data)
    with pytest.raises(StoreError, match="restore it, or set it aside and sign again"):
        require_approved(RECIPE, approved, people.read().people)


def test_a_newer_file_is_refused(people: PeopleFile, approved: Path) -> None:
    approval_file(approved, RECIPE).write_text('{"schema": 2}')
    with pytest.raises(StoreTooNew, match="written by a newer bmsctl"):
        require_approved(RECIPE, approved, people.read().people)


def test_a_revision_never_leaves_the_folder(folder: Path) -> None:
    strange = replace(RECIPE, revision="../../etc/x y")
    assert approval_file(folder, strange) == folder / "AS52-..%2F..%2Fetc%2Fx%20y.json"


def test_a_folder_that_cannot_be_written(people: PeopleFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"name another folder \(--approvals\)"):
        sign_recipe(RECIPE, tmp_path / "file", people, "eva", KEYS["eva"], NOW)
