"""Who may do what: every role, action and mode, against a table written by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from bmsctl.domain.packml import Mode
from bmsctl.domain.people import Person, Role
from bmsctl.domain.permissions import GRANTS, Action, permitted, require_permitted
from bmsctl.errors import Refused

TODAY = date(2026, 3, 2)
LETTERS = {"o": Role.OPERATOR, "t": Role.TECHNICIAN, "e": Role.ENGINEER, "q": Role.QUALITY, "-": None}
TABLE = {
    Action.ABORT: "-oteq",
    Action.START: "ote",
    Action.HOLD: "oteq",
    Action.UNHOLD: "ote",
    Action.STOP: "oteq",
    Action.CLEAR: "te",
    Action.RESET: "ote",
    Action.RETEST: "te",
    Action.DISPOSE_HOLD: "oteq",
    Action.DISPOSE_RELEASE: "q",
    Action.DISPOSE_REWORK: "teq",
    Action.DISPOSE_RETEST: "teq",
    Action.DISPOSE_SCRAP: "q",
    Action.SIGN_RECIPE: "eq",
    Action.CALIBRATION: "teq",
    Action.CHANGE_MODE: "te",
    Action.READ_DEVICE: "te",
    Action.ENERGISE_DEVICE: "te",
    Action.ADMINISTER_PEOPLE: "eq",
}


def person(role: Role | None, hv_until: date | None = TODAY) -> Person | None:
    return None if role is None else Person("eva", "Eva Adam", role, "hash", hv_until=hv_until)


def test_every_action_has_a_grant_and_a_row_here() -> None:
    assert set(GRANTS) == set(Action) == set(TABLE)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("action", Action)
def test_the_table(action: Action, letter: str, mode: Mode) -> None:
    role = LETTERS[letter]
    expected = letter in TABLE[action] and (action is not Action.ENERGISE_DEVICE or mode is Mode.MAINTENANCE)
    assert permitted(action, role, mode) is expected
    if expected:
        require_permitted(action, person(role), mode, TODAY)
    else:
        with pytest.raises(Refused):
            require_permitted(action, person(role), mode, TODAY)


def test_nobody_is_asked_who_they_are_for_an_abort() -> None:
    gone = replace(Person("eva", "Eva", Role.OPERATOR, ""), removed=datetime(2026, 1, 1, tzinfo=UTC))
    for anybody in (None, gone):
        require_permitted(Action.ABORT, anybody, Mode.PRODUCTION, TODAY)


@pytest.mark.parametrize(
    ("action", "who", "mode", "said"),
    [
        (
            Action.START,
            None,
            Mode.PRODUCTION,
            "start: nobody is logged in; log in as operator or technician or engineer",
        ),
        (
            Action.CLEAR,
            person(Role.OPERATOR),
            Mode.PRODUCTION,
            "clear: Eva Adam is operator; ask somebody who is techni",
        ),
        (
            Action.ENERGISE_DEVICE,
            person(Role.ENGINEER),
            Mode.PRODUCTION,
            "not in Production mode; only in Maintenance mo",
        ),
        (Action.ENERGISE_DEVICE, person(Role.ENGINEER, None), Mode.MAINTENANCE, "Eva Adam is not qualified for live"),
        (Action.ENERGISE_DEVICE, person(Role.ENGINEER, date(2026, 3, 1)), Mode.MAINTENANCE, "ended on 2026-03-01"),
    ],
)
def test_a_refusal_says_who_may(action: Action, who: Person | None, mode: Mode, said: str) -> None:
    with pytest.raises(Refused, match=said):
        require_permitted(action, who, mode, TODAY)


def test_who_has_left_may_nothing() -> None:
    gone = replace(Person("eva", "Eva", Role.QUALITY, ""), removed=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(Refused, match="nobody is logged in"):
        require_permitted(Action.STOP, gone, Mode.PRODUCTION, TODAY)
