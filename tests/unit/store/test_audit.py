"""The audit log: chained, append-only, and telling when it was touched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.errors import StoreError
from bmsctl.store.audit import EMPTY, LogHead, append, read

FIRST = b'["","people",1,"logged_in",null,10.5,"station"]{"person":"eva"}'
FIRST_SHA256 = hashlib.sha256(FIRST).hexdigest()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three lines."""
    path = tmp_path / "log"
    for n, kind in enumerate(("logged_in", "login_failed", "person_added")):
        append(path, kind, 10.5 + n, {"person": "eva"})
    return path


def test_a_line_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert append(path, "logged_in", 10.5, {"person": "eva"}) == LogHead(1, FIRST_SHA256)
    assert path.read_text() == f'[1,"logged_in",10.5,{{"person":"eva"}},"{FIRST_SHA256}"]\n'
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_appended_is_read(log: Path) -> None:
    head = append(log, "logged_out", 20.0, {"name": "Zoë\n"})
    lines, problems = read(log, head)
    assert problems == []
    assert [(line.seq, line.kind, line.utc_s) for line in lines] == [
        (1, "logged_in", 10.5),
        (2, "login_failed", 11.5),
        (3, "person_added", 12.5),
        (4, "logged_out", 20.0),
    ]
    assert lines[-1].payload == {"name": "Zoë\n"}


def test_no_log_has_no_lines(tmp_path: Path) -> None:
    assert read(tmp_path / "log") == ([], [])
    assert read(tmp_path / "log", EMPTY) == ([], [])
    assert read(tmp_path / "log", LogHead(3, "ab"))[1] != []


def test_what_a_crash_left_of_a_line_is_written_over(log: Path) -> None:
    whole = log.read_bytes()
    log.write_bytes(whole + b'[4,"logged_in",99.0,{"person":"a long name that is longer')
    assert read(log) == read(log)
    assert len(read(log)[0]) == 3
    assert append(log, "logged_out", 20.0, {}).n == 4
    assert log.read_bytes().startswith(whole)
    assert read(log)[1] == []


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize("touch", ["change", "remove", "double"])
def test_a_touched_line_is_found(log: Path, line: int, touch: str) -> None:
    head = append(log, "logged_out", 20.0, {})
    lines = log.read_bytes().splitlines(keepends=True)
    if touch == "change":
        lines[line] = lines[line].replace(b"eva", b"max")
    elif touch == "remove":
        del lines[line]
    else:
        lines.insert(line, lines[line])
    log.write_bytes(b"".join(lines))
    assert read(log, head)[1] != []


def test_a_cut_tail_is_found_by_the_head_kept_elsewhere(log: Path) -> None:
    head = append(log, "logged_out", 20.0, {})
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert read(log)[1] == []
    assert read(log, head)[1] == [
        "line 4, which the people file knows of, is not there; the log was cut off or replaced"
    ]


def test_damaged_lines_are_numbered_and_the_others_read(log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    lines[1] = b'["no","line"]\n'
    log.write_bytes(b"".join(lines))
    found, problems = read(log)
    assert [line.seq for line in found] == [1, 3]
    assert problems[0] == "line 2 is damaged"


def test_nothing_is_appended_to_a_damaged_last_line(log: Path) -> None:
    log.write_bytes(log.read_bytes() + b"damaged\n")
    before = log.read_bytes()
    with pytest.raises(StoreError, match="its last line is damaged; have someone answerable set the log aside"):
        append(log, "logged_out", 20.0, {})
    assert log.read_bytes() == before


@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_without_raising(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("audit") / "log"
    path.write_bytes(data)
    lines, problems = read(path)
    assert len(lines) + len(problems) >= data.count(b"\n")
