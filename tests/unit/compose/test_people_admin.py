"""Accounts made, altered and ended: who may, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from bmsctl.compose.accounts import Accounts, Secrets
from bmsctl.compose.people_admin import Alteration, NewPerson, add_person, alter_person, remove_person
from bmsctl.domain.people import Person, Role
from bmsctl.errors import Refused
from bmsctl.store.audit import read as read_log
from bmsctl.store.people import PeopleFile

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
PIN, BADGE = "493817", "0411A2B3"
PINS = Secrets(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
KEY, OTHER_KEY = "ab" * 32, "cd" * 32


@pytest.fixture
def file(tmp_path: Path) -> PeopleFile:
    """Eva (engineer) has founded it, and added Quentin (quality) and Ole (operator)."""
    file = PeopleFile(tmp_path / "people.json")
    add_person(file, PINS, NewPerson("eva", "Eva Adam", Role.ENGINEER, PIN), None, NOW)
    for person_id, role in (("quentin", Role.QUALITY), ("ole", Role.OPERATOR)):
        add_person(file, PINS, NewPerson(person_id, person_id.title(), role, PIN), who(file, "eva"), NOW)
    return file


def who(file: PeopleFile, person_id: str) -> Person:
    return next(person for person in file.read().people if person.id == person_id)


def alter(file: PeopleFile, person_id: str, by: str, now: datetime = NOW, **altered: object) -> None:
    alter_person(file, PINS, person_id, Alteration(**altered), who(file, by), now)  # type: ignore[arg-type]


def test_a_new_person_can_log_in(file: PeopleFile) -> None:
    new = NewPerson("zoe", " Zoë ", Role.TECHNICIAN, PIN, BADGE, date(2027, 1, 1))
    add_person(file, PINS, new, who(file, "quentin"), NOW)
    person = Accounts(file, pins=PINS).login_by_badge(BADGE, PIN, NOW).session.person
    assert (person.id, person.name, person.role, person.hv_until) == ("zoe", "Zoë", Role.TECHNICIAN, date(2027, 1, 1))


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.TECHNICIAN])
def test_the_first_must_be_able_to_add_others(tmp_path: Path, role: Role) -> None:
    file = PeopleFile(tmp_path / "people.json")
    with pytest.raises(Refused, match="it must administer the others, so make it engineer or quality"):
        add_person(file, PINS, NewPerson("eva", "Eva", role, PIN), None, NOW)
    assert file.read().people == ()


def test_only_the_first_needs_nobody(file: PeopleFile) -> None:
    with pytest.raises(Refused, match="say who you are with --as ID"):
        add_person(file, PINS, NewPerson("zoe", "Zoë", Role.QUALITY, PIN), None, NOW)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (NewPerson("EVA", "Eva", Role.OPERATOR, PIN), "EVA: somebody has, or had, this id"),
        (NewPerson("a b", "Eva", Role.OPERATOR, PIN), "'a b' is no id"),
        (NewPerson("zoe", " ", Role.OPERATOR, PIN), "is no name"),
        (NewPerson("zoe", "Zoë", Role.OPERATOR, "123456"), "is tried first"),
        (NewPerson("zoe", "Zoë", Role.OPERATOR, PIN, "1"), "that is no badge"),
    ],
)
def test_what_cannot_be(file: PeopleFile, new: NewPerson, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        add_person(file, PINS, new, who(file, "eva"), NOW)
    assert len(file.read().people) == 3


def test_a_badge_has_one_owner(file: PeopleFile) -> None:
    alter(file, "ole", "eva", badge=BADGE)
    with pytest.raises(ValueError, match="this badge is ole's"):
        alter(file, "quentin", "eva", badge=BADGE)
    alter(file, "ole", "eva", no_badge=True)
    alter(file, "quentin", "eva", badge=BADGE)


def test_only_administrators_administer(file: PeopleFile) -> None:
    acts: list[Callable[[], None]] = [
        lambda: alter(file, "eva", "ole", unlock=True),
        lambda: alter(file, "ole", "ole", hv_until=date(2030, 1, 1)),
        lambda: alter(file, "ole", "ole", pin="271828", role=Role.QUALITY),
        lambda: remove_person(file, "eva", who(file, "ole"), NOW),
        lambda: add_person(file, PINS, NewPerson("zoe", "Zoë", Role.QUALITY, PIN), who(file, "ole"), NOW),
    ]
    before = file.path.read_bytes()
    for act in acts:
        with pytest.raises(Refused, match="ask somebody who is engineer or quality"):
            act()
    assert file.path.read_bytes() == before


@pytest.mark.parametrize(
    "altered",
    [{"role": Role.QUALITY}, {"hv_until": date(2030, 1, 1)}, {"key": KEY}, {"name": "Boss"}, {"badge": BADGE}],
)
def test_nobody_administers_themselves(file: PeopleFile, altered: dict[str, object]) -> None:
    with pytest.raises(Refused, match="nobody administers their own account"):
        alter(file, "eva", "eva", **altered)
    with pytest.raises(Refused, match="nobody administers their own account"):
        remove_person(file, "eva", who(file, "eva"), NOW)


def test_a_person_changes_their_own_pin(file: PeopleFile) -> None:
    alter(file, "ole", "ole", pin="271828")
    accounts = Accounts(file, pins=PINS)
    assert accounts.login("ole", "271828", NOW)
    with pytest.raises(Refused):
        accounts.login("ole", PIN, NOW)


def test_an_administrator_who_was_demoted_meanwhile_may_nothing(file: PeopleFile) -> None:
    eva = who(file, "eva")
    alter(file, "eva", "quentin", role=Role.OPERATOR)
    with pytest.raises(Refused, match="Eva Adam is operator"):
        alter_person(file, PINS, "ole", Alteration(unlock=True), eva, NOW)
    remove_person(file, "eva", who(file, "quentin"), NOW)
    with pytest.raises(Refused, match="nobody is logged in"):
        alter_person(file, PINS, "ole", Alteration(unlock=True), eva, NOW)


def test_qualification_name_and_lock_out(file: PeopleFile) -> None:
    accounts = Accounts(file, pins=PINS)
    for _ in range(5):
        with pytest.raises(Refused):
            accounts.login("ole", "271828", NOW)
    alter(file, "ole", "eva", hv_until=date(2030, 1, 1), name="Ole B.", unlock=True)
    ole = who(file, "ole")
    assert (ole.hv_until, ole.name, ole.failures, ole.locked_until) == (date(2030, 1, 1), "Ole B.", 0, None)
    alter(file, "ole", "eva", no_hv=True)
    assert who(file, "ole").hv_until is None


def test_a_key_is_registered_replaced_and_withdrawn(file: PeopleFile) -> None:
    alter(file, "quentin", "eva", key=KEY)
    later = NOW + timedelta(days=1)
    alter(file, "quentin", "eva", now=later, key=OTHER_KEY)
    old, new = who(file, "quentin").keys
    assert (old.public, old.since, old.until) == (KEY, NOW, later)
    assert (new.public, new.role, new.until) == (OTHER_KEY, Role.QUALITY, None)
    alter(file, "quentin", "eva", now=later + timedelta(days=1), role=Role.ENGINEER)
    assert who(file, "quentin").key is None


@pytest.mark.parametrize(
    ("person_id", "key", "said"),
    [
        ("ole", KEY, "ole is operator; only engineer and quality sign recipes"),
        ("quentin", KEY[:-1], "that is no public key"),
        ("quentin", KEY.upper(), "that is no public key"),
    ],
)
def test_what_is_no_key_for_a_person(file: PeopleFile, person_id: str, key: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        alter(file, person_id, "eva", key=key)


def test_a_key_has_one_owner_ever(file: PeopleFile) -> None:
    alter(file, "quentin", "eva", key=KEY)
    remove_person(file, "quentin", who(file, "eva"), NOW)
    add_person(file, PINS, NewPerson("zoe", "Zoë", Role.QUALITY, PIN), who(file, "eva"), NOW)
    with pytest.raises(ValueError, match="this key is, or was, registered for quentin"):
        alter(file, "zoe", "eva", key=KEY)


def test_who_has_left_is_kept_and_their_keys_may_be_revoked(file: PeopleFile) -> None:
    alter(file, "quentin", "eva", key=KEY, badge=BADGE)
    later = NOW + timedelta(days=1)
    remove_person(file, "quentin", who(file, "eva"), later)
    gone = who(file, "quentin")
    assert (gone.removed, gone.pin, gone.badge, gone.keys[0].until) == (later, "", None, later)
    with pytest.raises(ValueError, match="quentin: no such person; known: eva, ole"):
        remove_person(file, "quentin", who(file, "eva"), later)
    with pytest.raises(ValueError, match="no such person"):
        alter(file, "quentin", "eva", unlock=True)
    alter(file, "quentin", "eva", revoke_keys=True)
    assert not who(file, "quentin").keys[0].good_at(NOW)


def test_every_change_is_told_and_no_secret_with_it(file: PeopleFile) -> None:
    alter(file, "ole", "eva", pin="271828", badge=BADGE, hv_until=date(2030, 1, 1))
    lines, problems = read_log(file.log, file.read().head)
    assert problems == []
    assert [line.kind for line in lines] == ["person_added"] * 3 + ["person_changed"]
    assert lines[-1].payload == {
        "person": "ole",
        "by": "eva",
        "pin": True,
        "badge": True,
        "hv_until": "2030-01-01",
    }
    assert not any(secret in file.log.read_text() for secret in (PIN, "271828", BADGE))


def test_nothing_to_change(file: PeopleFile) -> None:
    with pytest.raises(ValueError, match="nothing to change"):
        alter(file, "ole", "eva")
