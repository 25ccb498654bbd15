"""Accounts, lock-out and sessions, against times worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.people import (
    FAILURES_MAX,
    LOCKED_MAX,
    Person,
    Role,
    Session,
    SessionRule,
    SessionState,
    SigningKey,
    after_failure,
    check_badge,
    check_id,
    check_name,
    check_pin,
    find,
    locked_out,
    unlocked,
    unqualified,
)

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
EVA = Person("eva", "Eva Adam", Role.ENGINEER, "hash")


def failed(times: int) -> Person:
    person, now = EVA, NOW
    for _ in range(times):
        person = after_failure(person, now)
        now = person.locked_until or now
    return person


def test_four_wrong_pins_lock_nothing_and_the_fifth_does_for_five_minutes() -> None:
    assert not locked_out(failed(4), NOW)
    locked = failed(5)
    assert locked.locked_until == NOW + timedelta(minutes=5)
    assert locked_out(locked, NOW + timedelta(minutes=5) - timedelta(microseconds=1))
    assert not locked_out(locked, NOW + timedelta(minutes=5))


def test_each_further_one_locks_twice_as_long_up_to_a_day() -> None:
    locks = []
    for times in range(FAILURES_MAX, FAILURES_MAX + 12):
        locked_until = after_failure(replace(EVA, failures=times - 1), NOW).locked_until
        assert locked_until is not None
        locks.append((locked_until - NOW) / timedelta(minutes=1))
    assert locks == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440]


@given(st.integers(0, 10**30))
def test_no_lock_out_is_longer_than_a_day(failures: int) -> None:
    locked_until = after_failure(replace(EVA, failures=failures), NOW).locked_until
    assert locked_until is None or locked_until - NOW <= LOCKED_MAX


def test_a_clock_set_back_opens_no_lock() -> None:
    assert locked_out(failed(5), NOW - timedelta(days=400))


def test_the_right_pin_forgets_failures() -> None:
    assert unlocked(failed(7)) == EVA


def test_the_last_day_of_a_qualification_counts() -> None:
    person = replace(EVA, hv_until=date(2026, 3, 2))
    assert unqualified(person, date(2026, 3, 2)) is None
    assert unqualified(person, date(2026, 3, 3)) == (
        "the qualification of Eva Adam for live work ended on 2026-03-02; call somebody qualified"
    )
    assert "is not qualified for live work" in (unqualified(EVA, date(2026, 3, 2)) or "")


def test_a_person_is_found_in_any_case_but_not_once_gone() -> None:
    gone = replace(EVA, id="Max", removed=NOW)
    assert find([gone, EVA], "EVA") is EVA
    assert find([gone, EVA], "max") is None
    assert find([gone, EVA], "max", removed_too=True) is gone
    assert find([gone, EVA], "") is None


@pytest.mark.parametrize("pin", ["", "12345", "111111", "123456", "987654", "abcdef", " 493817", "49381\n7", "9" * 65])
def test_pins_that_are_tried_first_are_refused_and_not_shown(pin: str) -> None:
    with pytest.raises(ValueError, match=r"PIN") as caught:
        check_pin(pin, "eva")
    assert not pin.strip() or pin not in str(caught.value)


@pytest.mark.parametrize("pin", ["493817", "112233", "123457", "correct horse"])
def test_other_pins_are_taken(pin: str) -> None:
    check_pin(pin, "eva")


def test_the_id_is_no_pin() -> None:
    with pytest.raises(ValueError, match="the PIN is the id"):
        check_pin("P49381", "p49381")


@pytest.mark.parametrize("text", ["", "-x", "../x", "a b", "é", "x" * 33, "a\n"])
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="is no id"):
        check_id(text)


def test_names_and_badges() -> None:
    assert check_name("  Zoë Lé ") == "Zoë Lé"
    for name in ("", "  ", "a\tb", "x" * 101):
        with pytest.raises(ValueError, match="is no name"):
            check_name(name)
    check_badge("0411A2B3")
    for content in ("", "041", "0411\x1b2B3", "4" * 201):
        with pytest.raises(ValueError, match="that is no badge"):
            check_badge(content)


def test_a_key_is_good_from_its_registration_until_it_is_withdrawn() -> None:
    key = SigningKey("ab", Role.ENGINEER, NOW, NOW + timedelta(days=1))
    assert [key.good_at(NOW + timedelta(hours=hours)) for hours in (-1, 0, 23, 24)] == [False, True, True, False]
    assert not replace(key, until=key.since).good_at(NOW)
    assert replace(key, until=None).good_at(NOW + timedelta(days=9999))


def test_the_newest_good_key_is_the_one_to_sign_with() -> None:
    old, new = SigningKey("ab", Role.ENGINEER, NOW, NOW), SigningKey("cd", Role.ENGINEER, NOW)
    assert replace(EVA, keys=(old, new)).key is new
    assert replace(EVA, keys=(old,)).key is None


PARIS = ZoneInfo("Europe/Paris")
RULE = SessionRule(timedelta(minutes=10), (time(5), time(13), time(21)))


@pytest.mark.parametrize(
    ("begun", "ends"),
    [
        ("2026-03-02T04:59", "2026-03-02T05:00"),
        ("2026-03-02T05:00", "2026-03-02T13:00"),
        ("2026-03-02T22:00", "2026-03-03T05:00"),
        ("2026-12-31T21:00:01", "2027-01-01T05:00"),
    ],
)
def test_a_session_ends_with_its_shift(begun: str, ends: str) -> None:
    began, ended = (datetime.fromisoformat(text).replace(tzinfo=PARIS) for text in (begun, ends))
    assert RULE.ends(began) == ended


def test_the_night_shift_of_the_clock_change_ends_at_its_time_of_day() -> None:
    begun = datetime(2026, 3, 28, 22, tzinfo=PARIS)
    ends = RULE.ends(begun)
    assert ends == datetime(2026, 3, 29, 5, tzinfo=PARIS)
    assert ends.astimezone(UTC) - begun.astimezone(UTC) == timedelta(hours=6)


def test_a_shift_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="name at least one"):
        SessionRule(shift_ends=()).ends(NOW)


def test_a_session_locks_without_input_and_ends_at_the_shifts_end() -> None:
    session = Session(EVA, NOW, NOW, NOW + timedelta(hours=3))
    states = [RULE.state(session, NOW + timedelta(minutes=minutes)) for minutes in (0, 9, 10, 179, 180)]
    assert states == [
        SessionState.OPEN,
        SessionState.OPEN,
        SessionState.LOCKED,
        SessionState.LOCKED,
        SessionState.ENDED,
    ]
    assert RULE.state(replace(session, locked=True), NOW) is SessionState.LOCKED


def test_a_clock_set_back_locks_a_session() -> None:
    session = Session(EVA, NOW, NOW, NOW + timedelta(hours=3))
    assert RULE.state(session, NOW - timedelta(seconds=1)) is SessionState.OPEN
    assert RULE.state(session, NOW - timedelta(minutes=10)) is SessionState.LOCKED
