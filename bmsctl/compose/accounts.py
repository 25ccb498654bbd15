"""Who is at the station: logging in by id or badge and PIN, sessions, lock-out.

PINs are argon2id hashes; badges are argon2id under the file's own salt, so that one can be found by its hash. Session
tokens are random, 256 bits, and only their SHA-256 is kept, in this process's memory. An unknown id costs as long as a
known one and gets the same answer. Every answer to a PIN is durable on the audit log before it is given.

All times are passed in. `login`, `login_by_badge`, `unlock` and `authenticate` take some 0.3 s (argon2) and may be
called in a thread; the rest takes well under a millisecond.

Source: RFC 9106 (argon2id); OWASP password storage, second set of parameters (badges); IEC 62443-4-2 CR 1.1 to 2.5.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret_raw

from bmsctl.domain.canonical import sha256_hex
from bmsctl.domain.people import (
    BADGE_MAX,
    PIN_MAX,
    Person,
    Session,
    SessionRule,
    SessionState,
    after_failure,
    find,
    locked_out,
    unlocked,
)
from bmsctl.errors import Refused
from bmsctl.store.people import Change, People, PeopleFile

TOKEN_BYTES = 32
BADGE_HASH_BYTES = 32
FAILED = "login_failed"
WRONG = "id, badge or PIN is wrong; try again"


class LockedOut(Refused):
    """The account takes no PIN until `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(
            f"locked after too many wrong PINs, until {until.astimezone():%H:%M:%S on %Y-%m-%d}; wait, or have an "
            "engineer or quality unlock it"
        )
        self.until = until


class LoggedIn(NamedTuple):
    """A new session, and the token that proves it; nobody can tell the token again."""

    token: str
    session: Session


class Secrets:
    """Hashes of PINs; `hasher` sets what one costs."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = PasswordHasher() if hasher is None else hasher

    def hash(self, pin: str) -> str:
        """A new hash of a PIN."""
        return self._hasher.hash(_bytes(pin))

    def right(self, pin_hash: str | None, pin: str) -> bool:
        """Whether it is the PIN of this hash; without a hash it is not, after as long a time."""
        nobodys = self._nobodys
        if len(pin) > PIN_MAX:
            return False
        try:
            right = self._hasher.verify(nobodys if pin_hash is None else pin_hash, _bytes(pin))
        except (VerificationError, InvalidHashError):
            return False
        return right and pin_hash is not None

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_bytes(TOKEN_BYTES))


def badge_hash(content: str, salt_hex: str) -> str:
    """What is kept of a badge, hexadecimal: a card's number alone could be guessed, so that a guess takes 30 ms."""
    salt = bytes.fromhex(salt_hex)
    cost = {"time_cost": 2, "memory_cost": 19456, "parallelism": 1}
    return hash_secret_raw(_bytes(content), salt, **cost, hash_len=BADGE_HASH_BYTES, type=Type.ID).hex()


class Accounts:
    """The accounts of a people file, and the sessions of this process. Safe to be called from several threads."""

    def __init__(self, file: PeopleFile, rule: SessionRule | None = None, pins: Secrets | None = None) -> None:
        self.file = file
        self.pins = Secrets() if pins is None else pins
        self._rule = SessionRule() if rule is None else rule
        self._sessions: dict[str, Session] = {}
        self._guard = threading.Lock()

    def login(self, person_id: str, pin: str, now: datetime) -> LoggedIn:
        """A new session of the person of that id.

        Args:
            now: local time where the station is (a ZoneInfo, where clocks change), because a session ends at a
                shift's end.

        Raises:
            LockedOut: after too many wrong PINs, the right one included.
            Refused: no such person, or not their PIN; which of them is not said.
            StoreError: the people file or its log cannot be used; nobody can log in.
        """
        return self._begin(self.authenticate(person_id, pin, now), now)

    def login_by_badge(self, badge: str, pin: str, now: datetime) -> LoggedIn:
        """A new session of the person whose badge was read; as `login`."""
        people = self.file.read()
        hashed = badge_hash(badge[: BADGE_MAX + 1], people.badge_salt)
        person = next((one for one in people.people if one.badge is not None and one.badge == hashed), None)
        return self._begin(self.authenticate("" if person is None else person.id, pin, now), now)

    def authenticate(self, person_id: str, pin: str, now: datetime, purpose: str = "login") -> Person:
        """The person of that id, whose PIN this is; raises as `login`.

        Args:
            purpose: what for, as the audit log tells it.
        """
        person = find(self.file.read().people, person_id)
        right = self.pins.right(None if person is None else person.pin, pin)
        moment = now.astimezone(UTC)

        def answer(people: People) -> Change[Person | Refused]:
            # Read again: while the hash was computed, the account may have been locked, changed or removed.
            current = find(people.people, person_id)
            if person is None or current is None:
                # What was typed is not told: it may be a PIN.
                return Change(people, FAILED, {"purpose": purpose, "why": "unknown"}, Refused(WRONG))
            return _answer(people, current, right and current.pin == person.pin, purpose, moment)

        answered = self.file.change(answer, moment)
        if isinstance(answered, Refused):
            raise answered
        return answered

    def session_of(self, token: str, now: datetime) -> tuple[Session, SessionState] | None:
        """The session of a token, with its person as the people file has them; None if it is over or never was.

        Raises:
            StoreError: the people file cannot be read.
        """
        key = _kept(token)
        with self._guard:
            session = self._sessions.get(key)
        if session is None:
            return None
        person = find(self.file.read().people, session.person.id)
        state = self._rule.state(session, now)
        if person is None or state is SessionState.ENDED:
            with self._guard:
                self._sessions.pop(key, None)
            return None
        if state is SessionState.LOCKED:
            session = replace(session, locked=True)
            self._keep(token, session)
        return replace(session, person=person), state

    def touch(self, token: str, now: datetime) -> None:
        """Note that the person did something at the screen; it opens no locked session."""
        found = self.session_of(token, now)
        if found is not None and found[1] is SessionState.OPEN:
            self._keep(token, replace(found[0], last_input=now))

    def lock(self, token: str, now: datetime) -> None:
        """Lock the session until its person's PIN is given."""
        found = self.session_of(token, now)
        if found is not None:
            self._keep(token, replace(found[0], locked=True))

    def unlock(self, token: str, pin: str, now: datetime) -> None:
        """Open a locked session by its own person's PIN.

        Raises:
            Refused, LockedOut, StoreError: as `login`, or the session is over.
        """
        found = self.session_of(token, now)
        if found is None:
            raise Refused("the session is over; log in")
        session = found[0]
        self.authenticate(session.person.id, pin, now, "unlock")
        self._keep(token, replace(session, locked=False, last_input=now))

    def logout(self, token: str, now: datetime) -> None:
        """End the session; nothing happens if it is over."""
        with self._guard:
            session = self._sessions.pop(_kept(token), None)
        if session is not None:
            told = {"person": session.person.id}
            self.file.change(lambda people: Change(people, "logged_out", told, None), now)

    def _begin(self, person: Person, now: datetime) -> LoggedIn:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        session = Session(person, now, now, self._rule.ends(now))
        with self._guard:
            over = [key for key, one in self._sessions.items() if self._rule.state(one, now) is SessionState.ENDED]
            for key in over:
                del self._sessions[key]
            self._sessions[_kept(token)] = session
        return LoggedIn(token, session)

    def _keep(self, token: str, session: Session) -> None:
        """Replace a session that is still there: it may have been ended meanwhile."""
        key = _kept(token)
        with self._guard:
            if key in self._sessions:
                self._sessions[key] = session


def _answer(people: People, person: Person, right: bool, purpose: str, now: datetime) -> Change[Person | Refused]:
    """The answer to a PIN, and what it makes of the account."""
    told: dict[str, Any] = {"person": person.id, "purpose": purpose}
    if person.locked_until is not None and locked_out(person, now):
        return Change(people, FAILED, told | {"why": "locked out"}, LockedOut(person.locked_until))
    if right:
        person = unlocked(person)
        return Change(people.with_person(person), "logged_in", told, person)
    person = after_failure(person, now)
    told |= {"why": "wrong PIN", "failures": person.failures}
    if person.locked_until is None or not locked_out(person, now):
        return Change(people.with_person(person), FAILED, told, Refused(WRONG))
    told |= {"locked_until": person.locked_until.isoformat()}
    return Change(people.with_person(person), FAILED, told, LockedOut(person.locked_until))


def _bytes(secret: str) -> bytes:
    """Every text as bytes, different ones differently: what was typed may hold half a character."""
    return secret.encode("utf-8", "surrogatepass")


def _kept(token: str) -> str:
    return sha256_hex(_bytes(token))
