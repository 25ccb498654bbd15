"""The people of a station in one JSON file, readable by its owner only, replaced whole at every change.

Beside it lies the audit log. A line is in the log before what it tells of is in the file, so a crash between the two
leaves at most a line too many. Only hashes of PINs and badges are ever here.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from bmsctl.domain.canonical import read_json
from bmsctl.domain.people import Person, Role, SigningKey, check_id, check_name
from bmsctl.errors import StoreError, StoreTooNew
from bmsctl.store import audit
from bmsctl.store.audit import EMPTY, LogHead
from bmsctl.store.whole_file import only_writer, read_file, replace_file

SCHEMA = 1
BYTES_MAX = 8 * 1024 * 1024
SALT_BYTES = 16
LOG_SUFFIX = ".audit.jsonl"
REMEDY = "restore it from a backup, or have someone answerable set it aside and begin a new one"

T = TypeVar("T")

_FILE_KEYS = ("schema", "badge_salt", "audit", "people")
_PERSON_KEYS = ("id", "name", "role", "pin", "badge", "hv_until", "failures", "locked_until", "keys", "removed")
_KEY_KEYS = ("public", "role", "since", "until")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


@dataclass(frozen=True)
class People:
    """What the file holds. `badge_salt`: hexadecimal, of the badges' hashes; `head`: of the audit log."""

    people: tuple[Person, ...]
    badge_salt: str
    head: LogHead = EMPTY

    def with_person(self, person: Person) -> People:
        """The same with this person in place of the one of the same id, or added at the end."""
        others = tuple(person if one.id == person.id else one for one in self.people)
        return replace(self, people=others if person in others else (*self.people, person))


class Change(NamedTuple, Generic[T]):
    """A change of the file: its new content, what the audit log says of it, and what the caller is told."""

    people: People
    kind: str
    payload: Mapping[str, Any]
    result: T


class PeopleFile:
    """The file of one station, for any number of processes. What was read is kept until the file is replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path.parent / f"{path.name}{LOG_SUFFIX}"
        self._read: tuple[tuple[int, int, int], People] | None = None

    def read(self) -> People:
        """What it holds; nobody, if there is no file.

        Raises:
            StoreTooNew: a newer bmsctl wrote it.
            StoreError: it cannot be read, or is damaged; says where.
        """
        try:
            status = self.path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._read is not None and self._read[0] == stamp:
                return self._read[1]
            data = read_file(self.path, BYTES_MAX)
        except FileNotFoundError:
            return People((), secrets.token_hex(SALT_BYTES))
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read: {error.strerror}; name a file with --people") from error
        found = _People(self.path).parse(data)
        self._read = stamp, found
        return found

    def change(self, change: Callable[[People], Change[T]], now: datetime) -> T:
        """Change it and log that; the change's result, once it is durable.

        Args:
            change: makes the change of what the file holds. What it raises leaves all as it was.

        Raises:
            StoreTooNew, StoreError: as `read`, or it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with only_writer(self.path):
                made = change(self.read())
                head = audit.append(self.log, made.kind, now.timestamp(), made.payload)
                replace_file(self.path, _encoded(replace(made.people, head=head)), 0o600)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written: {error.strerror}; make its folder writable") from error
        return made.result


def _encoded(people: People) -> bytes:
    content = {
        "schema": SCHEMA,
        "badge_salt": people.badge_salt,
        "audit": [*people.head],
        "people": [_person_json(person) for person in people.people],
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _person_json(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "role": person.role.value,
        "pin": person.pin,
        "badge": person.badge,
        "hv_until": _text(person.hv_until),
        "failures": person.failures,
        "locked_until": _text(person.locked_until),
        "keys": [
            {"public": key.public, "role": key.role.value, "since": _text(key.since), "until": _text(key.until)}
            for key in person.keys
        ],
        "removed": _text(person.removed),
    }


def _text(moment: date | None) -> str | None:
    return None if moment is None else moment.isoformat()


class _People:
    """Reads the file's content; every error says where, and none shows a hash."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def parse(self, data: bytes) -> People:
        if len(data) > BYTES_MAX:
            self._fail(f"larger than {BYTES_MAX // 1024**2} MiB")
        try:
            value = read_json(data)
        except ValueError as error:
            self._fail(f"not JSON ({error})")
        if isinstance(value, dict) and type(value.get("schema")) is int and value["schema"] > SCHEMA:
            what = f"written by a newer bmsctl (schema {value['schema']}, this one knows {SCHEMA})"
            raise StoreTooNew(f"{self._path}: {what}; update this one")
        content = self._table(value, "the file", _FILE_KEYS)
        if content["schema"] != SCHEMA:
            self._fail(f"schema is {content['schema']!r} and not {SCHEMA}")
        head = content["audit"]
        if type(head) is not list or [*map(type, head)] != [int, str]:
            self._fail("audit is no head of the log")
        if type(content["people"]) is not list:
            self._fail("people is no list")
        people = tuple(self._person(one, f"person {n}") for n, one in enumerate(content["people"], start=1))
        ids = [person.id.casefold() for person in people]
        if len(set(ids)) < len(ids):
            self._fail("two people have the same id")
        return People(people, self._hex(content["badge_salt"], "badge_salt"), LogHead._make(head))

    def _person(self, value: Any, where: str) -> Person:
        entry = self._table(value, where, _PERSON_KEYS)
        where = f"{where} ({entry['id']!r})" if isinstance(entry["id"], str) else where
        failures, keys = entry["failures"], entry["keys"]
        if type(failures) is not int or failures < 0:
            self._fail(f"{where}: failures is no count")
        if type(keys) is not list:
            self._fail(f"{where}: keys is no list")
        return Person(
            id=self._made(check_id, entry["id"], f"{where}: id"),
            name=self._made(check_name, entry["name"], f"{where}: name"),
            role=self._made(Role, entry["role"], f"{where}: role"),
            pin=self._made(str, entry["pin"], f"{where}: pin"),
            badge=None if entry["badge"] is None else self._hex(entry["badge"], f"{where}: badge"),
            hv_until=self._optional(date.fromisoformat, entry["hv_until"], f"{where}: hv_until"),
            failures=failures,
            locked_until=self._optional(_moment, entry["locked_until"], f"{where}: locked_until"),
            keys=tuple(self._key(key, f"{where}: key {n}") for n, key in enumerate(keys, start=1)),
            removed=self._optional(_moment, entry["removed"], f"{where}: removed"),
        )

    def _key(self, value: Any, where: str) -> SigningKey:
        entry = self._table(value, where, _KEY_KEYS)
        return SigningKey(
            public=self._hex(entry["public"], f"{where}: public"),
            role=self._made(Role, entry["role"], f"{where}: role"),
            since=self._made(_moment, entry["since"], f"{where}: since"),
            until=self._optional(_moment, entry["until"], f"{where}: until"),
        )

    def _table(self, value: Any, where: str, keys: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self._fail(f"{where} is no table")
        for key in keys:
            if key not in value:
                self._fail(f"{where}: {key} is missing")
        for key in value:
            if key not in keys:
                self._fail(f"{where}: unknown key {key!r}")
        return value

    def _made(self, make: Callable[[str], T], value: Any, where: str) -> T:
        if not isinstance(value, str):
            self._fail(f"{where} is no text")
        try:
            return make(value)
        except ValueError as error:
            self._fail(f"{where}: {error}")

    def _optional(self, make: Callable[[str], T], value: Any, where: str) -> T | None:
        return None if value is None else self._made(make, value, where)

    def _hex(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            self._fail(f"{where} is not hexadecimal")
        return value

    def _fail(self, what: str) -> NoReturn:
        raise StoreError(f"{self._path}: {what}; {REMEDY}")


def _moment(text: str) -> datetime:
    """An instant with its offset from UTC; raises ValueError for any other text."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} does not say its offset from UTC")
    return moment.astimezone(UTC)
