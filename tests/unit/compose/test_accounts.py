"""Logging in, sessions and lock-out, over a people file, with hashes that cost nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from bmsctl.compose import accounts as module
from bmsctl.compose.accounts import Accounts, LockedOut, Secrets, badge_hash
from bmsctl.domain.people import FAILURES_MAX, Person, Role, SessionRule, SessionState
from bmsctl.errors import Refused, StoreError
from bmsctl.store.audit import Line
from bmsctl.store.audit import read as read_log
from bmsctl.store.people import Change, People, PeopleFile

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
PIN, WRONG_PIN, BADGE = "493817", "271828", "0411A2B3"
PINS = Secrets(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
RULE = SessionRule(timedelta(minutes=10), (time(6), time(14), time(22)))


def store(file: PeopleFile, change: Callable[[People], Person]) -> None:
    file.change(lambda people: Change(people.with_person(change(people)), "person_changed", {}, None), NOW)


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    """Accounts of Eva, who has a badge, and Max."""
    file = PeopleFile(tmp_path / "people.json")
    store(file, lambda people: Person("eva", "Eva Adam", Role.ENGINEER, PINS.hash(PIN), _badge(people)))
    store(file, lambda _: Person("max", "Max", Role.OPERATOR, PINS.hash(PIN)))
    return Accounts(file, RULE, PINS)


def _badge(people: People) -> str:
    return badge_hash(BADGE, people.badge_salt)


def log(accounts: Accounts) -> list[Line]:
    lines, problems = read_log(accounts.file.log, accounts.file.read().head)
    assert problems == []
    return lines[2:]


def test_the_right_pin_begins_a_session(accounts: Accounts) -> None:
    token, session = accounts.login("EVA", PIN, NOW)
    assert (session.person.id, session.ends) == ("eva", NOW.replace(hour=14))
    assert accounts.session_of(token, NOW) == (session, SessionState.OPEN)
    assert [(line.kind, line.payload) for line in log(accounts)] == [
        ("logged_in", {"person": "eva", "purpose": "login"})
    ]


def test_a_token_has_256_bits_and_only_its_hash_is_kept(accounts: Accounts) -> None:
    tokens = {accounts.login("eva", PIN, NOW).token for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) == 43 for token in tokens)
    assert not any(token in repr(vars(accounts)) for token in tokens)


def test_a_badge_stands_for_the_id(accounts: Accounts) -> None:
    assert accounts.login_by_badge(BADGE, PIN, NOW).session.person.id == "eva"
    with pytest.raises(Refused, match="id, badge or PIN is wrong"):
        accounts.login_by_badge(BADGE, WRONG_PIN, NOW)
    with pytest.raises(Refused, match="id, badge or PIN is wrong"):
        accounts.login_by_badge("0411A2B4", PIN, NOW)


@pytest.mark.parametrize(
    ("person_id", "pin"),
    [("eva", WRONG_PIN), ("eva", ""), ("nobody", PIN), ("", ""), ("eva", "\ud800"), ("eva", "9" * 9999)],
)
def test_every_wrong_answer_is_the_same(accounts: Accounts, person_id: str, pin: str) -> None:
    with pytest.raises(Refused) as caught:
        accounts.login(person_id, pin, NOW)
    assert type(caught.value) is Refused
    assert str(caught.value) == "id, badge or PIN is wrong; try again"


def test_an_unknown_id_costs_a_hash_and_a_log_line_too(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, kept: str, pin: bytes) -> bool:
        verified.append(kept)
        return verify(self, kept, pin)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    for person_id in ("eva", "nobody"):
        with pytest.raises(Refused):
            accounts.login(person_id, WRONG_PIN, NOW)
    assert len(verified) == 2
    assert [line.kind for line in log(accounts)] == ["login_failed", "login_failed"]


def test_no_secret_is_ever_written(accounts: Accounts) -> None:
    accounts.login("eva", PIN, NOW)
    for person_id, pin in (("eva", WRONG_PIN), (PIN, WRONG_PIN)):
        with pytest.raises(Refused):
            accounts.login(person_id, pin, NOW)
    accounts.login_by_badge(BADGE, PIN, NOW)
    for path in accounts.file.path.parent.iterdir():
        text = path.read_text()
        assert not any(secret in text for secret in (PIN, WRONG_PIN, BADGE))


def test_five_wrong_pins_lock_even_the_right_one_out_and_say_until_when(accounts: Accounts) -> None:
    for _ in range(FAILURES_MAX - 1):
        with pytest.raises(Refused, match="is wrong"):
            accounts.login("eva", WRONG_PIN, NOW)
    until = NOW + timedelta(minutes=5)
    with pytest.raises(LockedOut) as caught:
        accounts.login("eva", WRONG_PIN, NOW)
    assert caught.value.until == until
    assert f"until {until.astimezone():%H:%M:%S on %Y-%m-%d}" in str(caught.value)
    with pytest.raises(LockedOut):
        accounts.login("eva", PIN, until - timedelta(seconds=1))
    assert accounts.login("max", PIN, NOW).session.person.id == "max"
    assert accounts.login("eva", PIN, until).session.person.failures == 0
    whys = [line.payload.get("why") for line in log(accounts)]
    assert whys == ["wrong PIN"] * 5 + ["locked out", None, None]


def test_a_lock_out_survives_a_restart_and_doubles(accounts: Accounts) -> None:
    now = NOW
    for _ in range(FAILURES_MAX):
        with pytest.raises(Refused):
            accounts.login("eva", WRONG_PIN, now)
    again = Accounts(PeopleFile(accounts.file.path), RULE, PINS)
    with pytest.raises(LockedOut):
        again.login("eva", PIN, now)
    now += timedelta(minutes=5)
    with pytest.raises(LockedOut) as caught:
        again.login("eva", WRONG_PIN, now)
    assert caught.value.until == now + timedelta(minutes=10)


def test_an_account_locked_while_its_pin_was_hashed_stays_locked(accounts: Accounts) -> None:
    class Slow(Secrets):
        def right(self, pin_hash: str | None, pin: str) -> bool:
            locked = NOW + timedelta(minutes=5)
            store(accounts.file, lambda people: replace(people.people[0], failures=5, locked_until=locked))
            return PINS.right(pin_hash, pin)

    with pytest.raises(LockedOut):
        Accounts(accounts.file, RULE, Slow()).login("eva", PIN, NOW)


def test_a_pin_changed_while_it_was_hashed_is_no_longer_right(accounts: Accounts) -> None:
    class Slow(Secrets):
        def right(self, pin_hash: str | None, pin: str) -> bool:
            store(accounts.file, lambda people: replace(people.people[0], pin=PINS.hash("another")))
            return PINS.right(pin_hash, pin)

    with pytest.raises(Refused, match="is wrong"):
        Accounts(accounts.file, RULE, Slow()).login("eva", PIN, NOW)


def test_nobody_logs_in_without_a_log(accounts: Accounts) -> None:
    accounts.file.log.unlink()
    accounts.file.log.mkdir()
    with pytest.raises(StoreError, match="Is a directory"):
        accounts.login("eva", PIN, NOW)


def test_a_damaged_hash_lets_nobody_in(accounts: Accounts) -> None:
    store(accounts.file, lambda people: replace(people.people[0], pin="$argon2id$nonsense"))
    with pytest.raises(Refused, match="is wrong"):
        accounts.login("eva", PIN, NOW)


def test_a_session_locks_is_opened_by_its_own_pin_and_ends(accounts: Accounts) -> None:
    token, _ = accounts.login("eva", PIN, NOW)
    accounts.touch(token, NOW + timedelta(minutes=9))
    assert state(accounts, token, NOW + timedelta(minutes=18)) is SessionState.OPEN
    late = NOW + timedelta(minutes=19)
    assert state(accounts, token, late) is SessionState.LOCKED
    accounts.touch(token, late)
    assert state(accounts, token, late) is SessionState.LOCKED
    with pytest.raises(Refused, match="is wrong"):
        accounts.unlock(token, WRONG_PIN, late)
    assert state(accounts, token, late) is SessionState.LOCKED
    accounts.unlock(token, PIN, late)
    assert state(accounts, token, late) is SessionState.OPEN
    assert state(accounts, token, NOW.replace(hour=14)) is None
    assert state(accounts, token, late) is None
    with pytest.raises(Refused, match="the session is over"):
        accounts.unlock(token, PIN, late)


def state(accounts: Accounts, token: str, now: datetime) -> SessionState | None:
    found = accounts.session_of(token, now)
    return None if found is None else found[1]


def test_a_clock_set_back_opens_no_locked_session(accounts: Accounts) -> None:
    token, _ = accounts.login("eva", PIN, NOW)
    assert state(accounts, token, NOW + timedelta(minutes=11)) is SessionState.LOCKED
    assert state(accounts, token, NOW + timedelta(minutes=1)) is SessionState.LOCKED


def test_a_session_that_was_locked_by_hand_stays_locked(accounts: Accounts) -> None:
    token, _ = accounts.login("eva", PIN, NOW)
    accounts.lock(token, NOW)
    accounts.touch(token, NOW)
    assert state(accounts, token, NOW) is SessionState.LOCKED


def test_logging_out(accounts: Accounts) -> None:
    token, _ = accounts.login("eva", PIN, NOW)
    accounts.logout(token, NOW)
    accounts.logout(token, NOW)
    assert state(accounts, token, NOW) is None
    assert [line.kind for line in log(accounts)] == ["logged_in", "logged_out"]


@pytest.mark.parametrize("token", ["", "x", "\ud800", "A" * 100000])
def test_what_is_no_token(accounts: Accounts, token: str) -> None:
    accounts.login("eva", PIN, NOW)
    assert accounts.session_of(token, NOW) is None
    accounts.touch(token, NOW)
    accounts.lock(token, NOW)
    accounts.logout(token, NOW)


def test_a_session_is_its_persons_as_they_are_today(accounts: Accounts) -> None:
    token, _ = accounts.login("eva", PIN, NOW)
    store(accounts.file, lambda people: replace(people.people[0], role=Role.OPERATOR))
    found = accounts.session_of(token, NOW)
    assert found is not None
    assert found[0].person.role is Role.OPERATOR
    store(accounts.file, lambda people: replace(people.people[0], removed=NOW))
    assert state(accounts, token, NOW) is None
    with pytest.raises(Refused, match="is wrong"):
        accounts.login("eva", PIN, NOW)


def test_sessions_that_are_over_are_forgotten(accounts: Accounts) -> None:
    for day in range(3):
        accounts.login("eva", PIN, NOW + timedelta(days=day))
    assert len(accounts._sessions) == 1


def test_the_defaults_are_those_of_the_sources() -> None:
    parameters = Secrets().hash(PIN).split("$")
    assert parameters[1:4] == ["argon2id", "v=19", "m=65536,t=3,p=4"]
    assert len(bytes.fromhex(badge_hash(BADGE, "ab" * 16))) == module.BADGE_HASH_BYTES
    assert badge_hash(BADGE, "ab" * 16) != badge_hash(BADGE, "ac" * 16)
    assert json.dumps(badge_hash("\ud800", "ab" * 16))
