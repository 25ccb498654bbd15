"""The people file: read back as written, refused where damaged, whole after kill -9 at any line that writes."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from bmsctl.domain.people import Person, Role, SigningKey
from bmsctl.errors import StoreError, StoreTooNew
from bmsctl.store import audit, whole_file
from bmsctl.store import people as module
from bmsctl.store.audit import read as read_log
from bmsctl.store.people import Change, People, PeopleFile

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
EVA = Person(
    "Eva",
    "Éva Adam",
    Role.ENGINEER,
    "$argon2id$x",
    badge="ab" * 32,
    hv_until=date(2027, 1, 1),
    failures=5,
    locked_until=NOW + timedelta(minutes=5, microseconds=7),
    keys=(SigningKey("cd" * 32, Role.ENGINEER, NOW, NOW), SigningKey("ef" * 32, Role.ENGINEER, NOW)),
)
MAX = Person("max", "Max", Role.OPERATOR, "", removed=NOW)


def adding(person: Person) -> Callable[[People], Change[str]]:
    return lambda people: Change(people.with_person(person), "person_added", {"person": person.id}, person.id)


@pytest.fixture
def file(tmp_path: Path) -> PeopleFile:
    """A file of two people."""
    file = PeopleFile(tmp_path / "state" / "people.json")
    assert file.change(adding(EVA), NOW) == "Eva"
    file.change(adding(MAX), NOW)
    return file


def test_what_was_written_is_read(file: PeopleFile) -> None:
    found = PeopleFile(file.path).read()
    assert found.people == (EVA, MAX)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert read_log(file.log, found.head)[1] == []
    assert found.head.n == 2


def test_a_person_is_replaced_in_place(file: PeopleFile) -> None:
    changed = Person("Eva", "Eva B.", Role.QUALITY, "x")
    file.change(adding(changed), NOW)
    assert file.read().people == (changed, MAX)


def test_no_file_is_nobody(tmp_path: Path) -> None:
    assert PeopleFile(tmp_path / "people.json").read().people == ()
    assert os.listdir(tmp_path) == []


def test_what_another_process_wrote_is_seen(file: PeopleFile) -> None:
    other = PeopleFile(file.path)
    assert len(other.read().people) == 2
    file.change(adding(Person("zoe", "Zoë", Role.QUALITY, "x")), NOW)
    assert len(other.read().people) == 3


def test_a_change_that_raises_changes_nothing(file: PeopleFile) -> None:
    before = file.path.read_bytes(), file.log.read_bytes()

    def refuse(_: People) -> Change[None]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        file.change(refuse, NOW)
    assert (file.path.read_bytes(), file.log.read_bytes()) == before


def damage(file: PeopleFile, *keys: str | int, value: Any) -> None:
    """Put a value into the file's JSON, at these keys."""
    content = json.loads(file.path.read_bytes())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    file.path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("schema",), 0, "schema is 0 and not 1"),
        (("schema",), "1", "schema is '1' and not 1"),
        (("badge_salt",), "xyz", "badge_salt is not hexadecimal"),
        (("audit",), [1], "audit is no head of the log"),
        (("people",), {}, "people is no list"),
        (("people", 0), [], "person 1 is no table"),
        (("people", 0, "boss"), True, "person 1: unknown key 'boss'"),
        (("people", 0, "role"), "boss", r"person 1 \('Eva'\): role: 'boss' is not a valid Role"),
        (("people", 0, "id"), "../x", r"id: '../x' is no id"),
        (("people", 0, "name"), "", "name: '' is no name"),
        (("people", 0, "name"), 7, "name is no text"),
        (("people", 0, "failures"), True, "failures is no count"),
        (("people", 0, "failures"), -1, "failures is no count"),
        (("people", 0, "hv_until"), "soon", "hv_until: Invalid isoformat string: 'soon'"),
        (("people", 0, "locked_until"), "2026-03-02T10:00:00", "does not say its offset from UTC"),
        (("people", 0, "keys"), None, "keys is no list"),
        (("people", 0, "keys", 1, "public"), "g", "key 2: public is not hexadecimal"),
        (("people", 1, "id"), "EVA", "two people have the same id"),
    ],
)
def test_damage_is_named_and_nothing_is_written(
    file: PeopleFile, keys: tuple[str | int, ...], value: Any, said: str
) -> None:
    damage(file, *keys, value=value)
    before = file.path.read_bytes(), file.log.read_bytes()
    for act in (file.read, lambda: file.change(adding(EVA), NOW)):
        with pytest.raises(StoreError, match=said) as caught:
            act()
        assert str(file.path) in str(caught.value)
        assert "restore it from a backup" in str(caught.value)
    assert (file.path.read_bytes(), file.log.read_bytes()) == before


def test_a_missing_key_is_named(file: PeopleFile) -> None:
    content = json.loads(file.path.read_bytes())
    del content["people"][1]["pin"]
    file.path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="person 2: pin is missing"):
        file.read()


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"null", b"[" * 100000, b'{"schema": NaN}'])
def test_what_is_no_people_file(file: PeopleFile, data: bytes) -> None:
    file.path.write_bytes(data)
    with pytest.raises(StoreError, match="restore it from a backup"):
        file.read()


def test_too_large_a_file_is_not_read(file: PeopleFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_MAX", 100)
    with pytest.raises(StoreError, match="larger than"):
        file.read()


def test_a_newer_file_is_refused(file: PeopleFile) -> None:
    damage(file, "schema", value=2)
    with pytest.raises(StoreTooNew, match=r"newer bmsctl \(schema 2, this one knows 1\); update this one"):
        file.read()


def test_a_place_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = PeopleFile(tmp_path / "file" / "people.json")
    with pytest.raises(StoreError, match="Not a directory; name a file with --people"):
        file.read()
    with pytest.raises(StoreError, match="make its folder writable"):
        file.change(adding(EVA), NOW)
    with pytest.raises(StoreError, match="Is a directory"):
        PeopleFile(tmp_path).read()


WRITING = (audit.__file__, whole_file.__file__)
"""The code that writes; what only reads can be killed as often as one likes."""


def killed_at(line: int, act: Callable[[], Any]) -> bool:
    """Do it in a child that kills itself at the n-th line of the code that writes; whether it came that far."""
    child = os.fork()
    if child == 0:
        seen = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal seen
            if frame.f_code.co_filename not in WRITING:
                return None
            seen += event == "line"
            if seen == line:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_killed_at_any_line_it_holds_the_old_people_or_the_new(file: PeopleFile) -> None:
    content, log = file.path.read_bytes(), file.log.read_bytes()
    new = Person("zoe", "Zoë", Role.QUALITY, "x")
    outcomes = []
    for line in count(1, 2):
        file.path.write_bytes(content)
        file.log.write_bytes(log)
        if not killed_at(line, lambda: PeopleFile(file.path).change(adding(new), NOW)):
            break
        found = PeopleFile(file.path).read()
        assert found.people in ((EVA, MAX), (EVA, MAX, new))
        lines, problems = read_log(file.log, found.head)
        assert problems == []
        assert len(lines) - found.head.n in (0, 1)
        file.change(adding(new), NOW)
        assert read_log(file.log, file.read().head)[1] == []
        outcomes.append(new in found.people)
    assert len(outcomes) > 15
    assert outcomes == sorted(outcomes), "the new people are there from one line on"
    assert (outcomes[0], outcomes[-1]) == (False, True)
