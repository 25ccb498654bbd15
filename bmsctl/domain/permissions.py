"""Who may do what: one table of actions, roles and modes. `abort` needs nobody, ever.

Source: IEC 62443-4-2 CR 2.1 with RE 2 (roles); CR 1.1: authentication must not impede emergency actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from bmsctl.domain.packml import Mode
from bmsctl.domain.people import Person, Role, unqualified
from bmsctl.errors import Refused


class Action(StrEnum):
    """What a person may ask for; the value is what messages call it."""

    ABORT = "abort"
    START = "start"
    HOLD = "hold"
    UNHOLD = "unhold"
    STOP = "stop"
    CLEAR = "clear"
    RESET = "reset"
    RETEST = "retest with a cause"
    DISPOSE_HOLD = "put a pack on hold"
    DISPOSE_RELEASE = "release a pack"
    DISPOSE_REWORK = "send a pack to rework"
    DISPOSE_RETEST = "send a pack to retest"
    DISPOSE_SCRAP = "scrap a pack"
    SIGN_RECIPE = "sign a recipe"
    CALIBRATION = "enter a calibration"
    CHANGE_MODE = "change the station's mode"
    READ_DEVICE = "read from one device"
    ENERGISE_DEVICE = "energise one device"
    ADMINISTER_PEOPLE = "administer people"


class Grant(NamedTuple):
    """Roles and modes that may; `anybody`: without login; `live_work`: only with that qualification, in date."""

    roles: frozenset[Role]
    modes: frozenset[Mode] = frozenset(Mode)
    anybody: bool = False
    live_work: bool = False


_ALL = frozenset(Role)
_LINE = frozenset({Role.OPERATOR, Role.TECHNICIAN, Role.ENGINEER})
_SERVICE = frozenset({Role.TECHNICIAN, Role.ENGINEER})
_OFFICE = frozenset({Role.ENGINEER, Role.QUALITY})
_CAREFUL = frozenset({Role.TECHNICIAN, Role.ENGINEER, Role.QUALITY})

GRANTS: Mapping[Action, Grant] = {
    Action.ABORT: Grant(_ALL, anybody=True),
    Action.START: Grant(_LINE),
    Action.HOLD: Grant(_ALL),
    Action.UNHOLD: Grant(_LINE),
    Action.STOP: Grant(_ALL),
    Action.CLEAR: Grant(_SERVICE),
    Action.RESET: Grant(_LINE),
    Action.RETEST: Grant(_SERVICE),
    Action.DISPOSE_HOLD: Grant(_ALL),
    Action.DISPOSE_RELEASE: Grant(frozenset({Role.QUALITY})),
    Action.DISPOSE_REWORK: Grant(_CAREFUL),
    Action.DISPOSE_RETEST: Grant(_CAREFUL),
    Action.DISPOSE_SCRAP: Grant(frozenset({Role.QUALITY})),
    Action.SIGN_RECIPE: Grant(_OFFICE),
    Action.CALIBRATION: Grant(_CAREFUL),
    Action.CHANGE_MODE: Grant(_SERVICE),
    Action.READ_DEVICE: Grant(_SERVICE),
    Action.ENERGISE_DEVICE: Grant(_SERVICE, frozenset({Mode.MAINTENANCE}), live_work=True),
    Action.ADMINISTER_PEOPLE: Grant(_OFFICE),
}
"""Whoever may make the line safer may be anybody who is logged in; what lets a pack go is quality's."""


def permitted(action: Action, role: Role | None, mode: Mode) -> bool:
    """Whether a role, None for nobody logged in, may do it in a mode; its qualification apart."""
    grant = GRANTS[action]
    return mode in grant.modes and (grant.anybody or role in grant.roles)


def require_permitted(action: Action, person: Person | None, mode: Mode, today: date) -> None:
    """Return if the person, None for nobody logged in, may do it today in this mode.

    Raises:
        Refused: they may not; says who may, or in which mode.
    """
    grant = GRANTS[action]
    if grant.anybody:
        return
    if person is None or person.removed is not None:
        raise Refused(f"{action}: nobody is logged in; log in as {_either(grant.roles)}")
    if person.role not in grant.roles:
        raise Refused(f"{action}: {person.name} is {person.role}; ask somebody who is {_either(grant.roles)}")
    if mode not in grant.modes:
        allowed = " or ".join(sorted(grant.modes))
        raise Refused(f"{action}: not in {mode} mode; only in {allowed} mode")
    why = unqualified(person, today) if grant.live_work else None
    if why is not None:
        raise Refused(f"{action}: {why}")


def _either(roles: frozenset[Role]) -> str:
    """The roles in the order of their table, for people."""
    return " or ".join(role for role in Role if role in roles)
