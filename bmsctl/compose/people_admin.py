"""Accounts made, altered and ended. An administrator, of engineering or quality, does it; nobody for themselves.

The first account is made without login, and must be an administrator's. As nobody ends their own, one is always left.
An id is given once, even after its person has left, because records and signatures carry it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from bmsctl.compose.accounts import Secrets, badge_hash
from bmsctl.domain.approval import SIGNING_ROLES
from bmsctl.domain.packml import Mode
from bmsctl.domain.people import (
    Person,
    Role,
    SigningKey,
    check_badge,
    check_id,
    check_name,
    check_pin,
    find,
    unlocked,
)
from bmsctl.domain.permissions import Action, permitted, require_permitted
from bmsctl.errors import Refused
from bmsctl.store.people import Change, People, PeopleFile

_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Who is to get an account; `pin` and `badge` as typed and read."""

    id: str
    name: str
    role: Role
    pin: str
    badge: str | None = None
    hv_until: date | None = None


@dataclass(frozen=True, slots=True)
class Alteration:
    """What of an account is to change, None: not. `no_badge`, `no_hv`: taken away; `unlock`: ends a lock-out.

    `key`: the public key that the person, who has shown who they are, too, signs with from now on. `revoke_keys`:
    nothing they ever signed counts.
    """

    name: str | None = None
    role: Role | None = None
    hv_until: date | None = None
    no_hv: bool = False
    pin: str | None = None
    badge: str | None = None
    no_badge: bool = False
    unlock: bool = False
    key: str | None = None
    revoke_keys: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is to change."""
        return self == Alteration()

    @property
    def own(self) -> bool:
        """Whether a person may do this to their own account: a new PIN, and no longer being trusted."""
        return replace(self, pin=None, revoke_keys=False).empty

    def told(self) -> dict[str, Any]:
        """What the audit log says, no secret among it."""
        said = {"name": self.name, "role": self.role, "hv_until": _text(self.hv_until), "key": self.key}
        done = {"no_hv": self.no_hv, "no_badge": self.no_badge, "unlock": self.unlock, "revoke_keys": self.revoke_keys}
        new = {"pin": self.pin is not None, "badge": self.badge is not None}
        return {name: value for name, value in (said | done | new).items() if value not in (None, False)}


def add_person(file: PeopleFile, secrets: Secrets, new: NewPerson, by: Person | None, now: datetime) -> None:
    """Make an account; durable on return.

    Args:
        by: the administrator, who has shown who they are; None: nobody, for the first account.

    Raises:
        ValueError: an id, name, PIN or badge that cannot be, or one that somebody has.
        Refused: `by` may not.
        StoreError: the people file cannot be used.
    """
    person_id, name = check_id(new.id), check_name(new.name)
    check_pin(new.pin, person_id)
    pin = secrets.hash(new.pin)
    moment = _whole(now)

    def change(people: People) -> Change[None]:
        _require_founder(people, new.role) if by is None else _require_administrator(people, by, now)
        if person_id.casefold() in {one.id.casefold() for one in people.people}:
            raise ValueError(f"{person_id}: somebody has, or had, this id; ids are given once, choose another")
        badge = None if new.badge is None else _new_badge(people, new.badge)
        person = Person(person_id, name, new.role, pin, badge, new.hv_until)
        told: dict[str, Any] = {"person": person_id, "by": None if by is None else by.id, "name": name}
        told |= {"role": new.role.value, "hv_until": _text(new.hv_until), "badge": badge is not None}
        return Change(people.with_person(person), "person_added", told, None)

    file.change(change, moment)


def alter_person(
    file: PeopleFile, secrets: Secrets, person_id: str, alteration: Alteration, by: Person, now: datetime
) -> None:
    """Alter an account, in one change; durable on return.

    A new role withdraws the person's key: it was registered for the old one.

    Raises:
        ValueError: no such person, nothing to change, or a value that cannot be.
        Refused: `by` may not.
        StoreError: the people file cannot be used.
    """
    if alteration.empty:
        raise ValueError("nothing to change; say what, see --help")
    pin = None
    if alteration.pin is not None:
        check_pin(alteration.pin, person_id)
        pin = secrets.hash(alteration.pin)
    moment = _whole(now)

    def change(people: People) -> Change[None]:
        person = _known(people, person_id, removed_too=alteration == Alteration(revoke_keys=True))
        if person.id != by.id or not alteration.own:
            _require_administrator(people, by, now)
            _require_other(person, by)
        altered = _altered(people, person, alteration, moment)
        if pin is not None:
            altered = replace(altered, pin=pin)
        people = people.with_person(altered)
        told = {"person": person.id, "by": by.id} | alteration.told()
        return Change(people, "person_changed", told, None)

    file.change(change, moment)


def remove_person(file: PeopleFile, person_id: str, by: Person, now: datetime) -> None:
    """End an account: no login, no new signature. What the person signed before counts; see `Alteration.revoke_keys`,
    which may be done afterwards, too.

    Raises:
        ValueError: no such person.
        Refused: `by` may not.
        StoreError: the people file cannot be used.
    """
    moment = _whole(now)

    def change(people: People) -> Change[None]:
        person = _known(people, person_id)
        _require_administrator(people, by, now)
        _require_other(person, by)
        keys = _withdrawn(person.keys, moment)
        people = people.with_person(replace(person, pin="", badge=None, hv_until=None, keys=keys, removed=moment))
        return Change(people, "person_removed", {"person": person.id, "by": by.id}, None)

    file.change(change, moment)


def _altered(people: People, person: Person, alteration: Alteration, now: datetime) -> Person:
    """The account with everything altered but its PIN."""
    if alteration.name is not None:
        person = replace(person, name=check_name(alteration.name))
    if alteration.role is not None and alteration.role is not person.role:
        person = replace(person, role=alteration.role, keys=_withdrawn(person.keys, now))
    if alteration.hv_until is not None or alteration.no_hv:
        person = replace(person, hv_until=alteration.hv_until)
    if alteration.badge is not None or alteration.no_badge:
        person = replace(person, badge=None if alteration.badge is None else _new_badge(people, alteration.badge))
    if alteration.unlock:
        person = unlocked(person)
    if alteration.revoke_keys:
        person = replace(person, keys=tuple(replace(key, until=key.since) for key in person.keys))
    if alteration.key is not None:
        key = _new_key(people, person, alteration.key, now)
        person = replace(person, keys=(*_withdrawn(person.keys, now), key))
    return person


def _withdrawn(keys: Sequence[SigningKey], now: datetime) -> tuple[SigningKey, ...]:
    """The keys, no longer good from now on; not before they were registered, if the clock was set back."""
    return tuple(key if key.until is not None else replace(key, until=max(now, key.since)) for key in keys)


def _new_key(people: People, person: Person, public: str, now: datetime) -> SigningKey:
    if person.role not in SIGNING_ROLES:
        raise ValueError(f"{person.id} is {person.role}; only {' and '.join(SIGNING_ROLES)} sign recipes")
    if not _PUBLIC_KEY.fullmatch(public):
        raise ValueError("that is no public key; copy the 64 hexadecimal digits that `bmsctl recipe keygen` printed")
    for other in people.people:
        if any(key.public == public for key in other.keys):
            raise ValueError(f"this key is, or was, registered for {other.id}; make a new one with recipe keygen")
    return SigningKey(public, person.role, now)


def _new_badge(people: People, content: str) -> str:
    check_badge(content)
    hashed = badge_hash(content, people.badge_salt)
    owner = next((one for one in people.people if one.badge == hashed), None)
    if owner is not None:
        raise ValueError(f"this badge is {owner.id}'s; take it from them first (--no-badge)")
    return hashed


def _known(people: People, person_id: str, removed_too: bool = False) -> Person:
    person = find(people.people, person_id, removed_too)
    if person is None:
        known = ", ".join(one.id for one in people.people if one.removed is None) or "nobody"
        raise ValueError(f"{person_id}: no such person; known: {known}")
    return person


def _require_founder(people: People, role: Role) -> None:
    if people.people:
        raise Refused("there are accounts already; say who you are with --as ID")
    if not permitted(Action.ADMINISTER_PEOPLE, role, Mode.PRODUCTION):
        raise Refused(f"the first account is {role}; it must administer the others, so make it engineer or quality")


def _require_administrator(people: People, by: Person, now: datetime) -> None:
    current = find(people.people, by.id)
    require_permitted(Action.ADMINISTER_PEOPLE, current, Mode.PRODUCTION, now.date())


def _require_other(person: Person, by: Person) -> None:
    if person.id == by.id:
        raise Refused("nobody administers their own account; ask another engineer or quality")


def _whole(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(microsecond=0)


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
