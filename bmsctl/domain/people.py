"""The people of a line: who they are, what they are qualified for, when an account or a session is locked.

Times are aware datetimes and are passed in; nothing here reads a clock. A clock that is set back never opens a lock:
an account stays locked until its time has come, and a session whose last input lies as far ahead as it may lie behind
is locked.

Source: IEC 62443-4-2 CR 1.1, 1.5, 1.7, 1.11, 2.1, 2.5; EN 50110-1 and DGUV 209-093 for live work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise

FAILURES_MAX = 5
"""Wrong PINs in a row before an account is locked."""
LOCKED_FIRST = timedelta(minutes=5)
LOCKED_MAX = timedelta(hours=24)
"""No lock-out is longer, so that a stranger's guesses cost its owner a day at most."""
PIN_MIN, PIN_MAX = 6, 64
NAME_MAX = 100
BADGE_MIN, BADGE_MAX = 4, 200
IDLE = timedelta(minutes=10)
SHIFT_ENDS = (time(6), time(14), time(22))

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


class Role(StrEnum):
    """What a person is at the line; `permissions` says what each may do."""

    OPERATOR = "operator"
    TECHNICIAN = "technician"
    ENGINEER = "engineer"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public Ed25519 key (64 hexadecimal digits), and when what it signed counts: since <= signed at < until.

    `role` is the person's when it was registered: a person with a new role needs a new key. `until` None: still good.
    A key that is no longer trusted has `until` equal to `since`, so that nothing it ever signed counts.
    """

    public: str
    role: Role
    since: datetime
    until: datetime | None = None

    def good_at(self, moment: datetime) -> bool:
        """Whether a signature made at `moment` counts."""
        return self.since <= moment and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True)
class Person:
    """One account. `pin` and `badge` are hashes, never the secret; `badge` None: has none.

    `hv_until`: the last day of the qualification for live work, None: not qualified. `failures`: wrong PINs since the
    last right one. `removed`: the person has left; the entry stays, because records and signatures carry its id.
    """

    id: str
    name: str
    role: Role
    pin: str
    badge: str | None = None
    hv_until: date | None = None
    failures: int = 0
    locked_until: datetime | None = None
    keys: tuple[SigningKey, ...] = ()
    removed: datetime | None = None

    @property
    def key(self) -> SigningKey | None:
        """The key that the person signs with, None if none is registered."""
        return next((key for key in reversed(self.keys) if key.until is None), None)


def find(people: Sequence[Person], person_id: str, removed_too: bool = False) -> Person | None:
    """The person of an id, upper and lower case alike; None if there is none.

    Args:
        removed_too: also among those who have left.
    """
    folded = person_id.casefold()
    same = (one for one in people if one.id.casefold() == folded)
    return next((one for one in same if removed_too or one.removed is None), None)


def check_id(text: str) -> str:
    """`text` if it can be a person's id; raises ValueError if not."""
    if not _ID.fullmatch(text):
        raise ValueError(f"{text!r} is no id; use at most 32 of A-Z a-z 0-9 . _ - and begin with a letter or digit")
    return text


def check_name(text: str) -> str:
    """`text` without blanks around it if it can be a person's name; raises ValueError if not."""
    name = text.strip()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise ValueError(f"{text!r} is no name; write at most {NAME_MAX} printable characters")
    return name


def check_pin(pin: str, person_id: str) -> None:
    """Return if the PIN is not among those tried first; raises ValueError, which never shows it."""
    if not PIN_MIN <= len(pin) <= PIN_MAX or not pin.isprintable() or pin != pin.strip():
        raise ValueError(f"a PIN has {PIN_MIN} to {PIN_MAX} printable characters, and no blank at its ends")
    steps = {ord(after) - ord(before) for before, after in pairwise(pin)}
    if len(steps) == 1 and steps <= {-1, 0, 1}:
        raise ValueError("a PIN of one digit repeated, or counting up or down, is tried first; choose another")
    if pin.casefold() == person_id.casefold():
        raise ValueError("the PIN is the id; choose another")


def check_badge(content: str) -> None:
    """Return if this can be what a badge's reader sends; raises ValueError, which never shows it."""
    if not BADGE_MIN <= len(content) <= BADGE_MAX or not content.isprintable():
        raise ValueError(f"that is no badge; scan one, of {BADGE_MIN} to {BADGE_MAX} printable characters")


def locked_out(person: Person, now: datetime) -> bool:
    """Whether the account takes no PIN now, not even the right one."""
    return person.locked_until is not None and now < person.locked_until


def after_failure(person: Person, now: datetime) -> Person:
    """The account after a wrong PIN: from the fifth in a row on it is locked, twice as long each time."""
    failures = person.failures + 1
    if failures < FAILURES_MAX:
        return replace(person, failures=failures)
    doublings = min(failures - FAILURES_MAX, (LOCKED_MAX // LOCKED_FIRST).bit_length())
    return replace(person, failures=failures, locked_until=now + min(LOCKED_FIRST * 2**doublings, LOCKED_MAX))


def unlocked(person: Person) -> Person:
    """The account after the right PIN, or after an administrator has unlocked it."""
    return replace(person, failures=0, locked_until=None)


def unqualified(person: Person, today: date) -> str | None:
    """Why the person may not do, or confirm, live work today; None if they may. The last day counts."""
    if person.hv_until is None:
        return f"{person.name} is not qualified for live work; call somebody who is"
    if today > person.hv_until:
        return f"the qualification of {person.name} for live work ended on {person.hv_until}; call somebody qualified"
    return None


class SessionState(StrEnum):
    """What a session is good for."""

    OPEN = "open"
    LOCKED = "locked"
    """Its person's PIN opens it again."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Session:
    """A person at one screen. `last_input` is when they last did something there; `locked`: they locked it."""

    person: Person
    begun: datetime
    last_input: datetime
    ends: datetime
    locked: bool = False


@dataclass(frozen=True, slots=True)
class SessionRule:
    """When sessions lock and end. `shift_ends` are times of day where the station is, at least one."""

    idle: timedelta = IDLE
    shift_ends: tuple[time, ...] = SHIFT_ENDS

    def ends(self, begun: datetime) -> datetime:
        """The end of the shift in which a session begins, in the time zone of `begun`; strictly later.

        Raises:
            ValueError: there are no shifts.
        """
        if not self.shift_ends:
            raise ValueError("a session ends at the shift's end; name at least one")
        days = (begun.date(), begun.date() + timedelta(days=1))
        ends = [datetime.combine(day, end, begun.tzinfo) for day in days for end in self.shift_ends]
        return min(end for end in ends if end.astimezone(UTC) > begun.astimezone(UTC))

    def state(self, session: Session, now: datetime) -> SessionState:
        """What the session is good for at `now`."""
        if now >= session.ends:
            return SessionState.ENDED
        idle = abs(now - session.last_input) >= self.idle
        return SessionState.LOCKED if session.locked or idle else SessionState.OPEN
