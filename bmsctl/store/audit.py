"""The audit log of the people file: who logged in, who failed to, and every change, a hash-chained line each.

A line is a JSON array `[seq, kind, utc_s, payload, sha256]`, chained as a run's events are. The log is append-only;
its length and head are kept in the people file, too, because a log whose tail was cut off verifies.

Source: IEC 62443-4-2 CR 2.8 (auditable events), 2.11, 3.9.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bmsctl.domain.canonical import canonical_json, read_json
from bmsctl.errors import StoreError
from bmsctl.store.chain import GENESIS, EventRow, digest
from bmsctl.store.folder import sync_names

CHAIN = "people"
"""What the lines are chained under, in place of a record's id."""
QUALITY = "station"

_SHAPE = [int, str, float, dict, str]
_TAIL_BYTES = 1024 * 1024
"""No line is longer."""


class Line(NamedTuple):
    """One line. `seq` counts from 1; `utc_s` is wall time, seconds since 1970; `payload` never holds a secret."""

    seq: int
    kind: str
    utc_s: float
    payload: Mapping[str, Any]
    sha256: str


class LogHead(NamedTuple):
    """How many lines the log has, and the hash of the last."""

    n: int
    sha256: str


EMPTY = LogHead(0, GENESIS)


def append(path: Path, kind: str, utc_s: float, payload: Mapping[str, Any]) -> LogHead:
    """Append a line after the last whole one; durable on return.

    Raises:
        StoreError: the last whole line is damaged.
        OSError: the file cannot be written.
    """
    existed = path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(handle, "r+b") as file:
        length = file.seek(0, os.SEEK_END)
        begin = max(0, length - _TAIL_BYTES)
        file.seek(begin)
        tail = file.read()
        whole = tail[: tail.rfind(b"\n") + 1]
        last = whole[:-1].rpartition(b"\n")[2]
        n, previous = EMPTY if not last else _head_of(last, path)
        row = EventRow(n + 1, kind, None, utc_s, QUALITY, canonical_json(payload))
        sha256 = digest(previous, CHAIN, row)
        # What a crash left of a line nobody was told of is written over.
        file.seek(begin + len(whole))
        file.truncate()
        file.write(f"{canonical_json([row.seq, kind, utc_s, payload, sha256])}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    if not existed:
        sync_names(path.parent)
    return LogHead(row.seq, sha256)


def read(path: Path, kept: LogHead = EMPTY) -> tuple[list[Line], list[str]]:
    """All lines that can be read, and what is wrong with the log. Raises OSError.

    An unfinished last line is what a crash leaves, and ignored.

    Args:
        kept: what the people file knows of the log, which may be older than the log.
    """
    data = path.read_bytes() if path.exists() else b""
    lines: list[Line] = []
    problems: list[str] = []
    previous, n = EMPTY.sha256, 0
    for number, text in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            line = _line(text)
        except ValueError:
            problems.append(f"line {number} is damaged")
            n += 1
            continue
        if not _chained(line, previous, n):
            problems.append(f"line {number} does not follow from the one before it; one was changed, added or removed")
        previous, n = line.sha256, line.seq
        lines.append(line)
    problems += _cut(lines, kept)
    return lines, problems


def _cut(lines: Sequence[Line], kept: LogHead) -> list[str]:
    """What the head in the people file says against the log."""
    if kept.n == 0 or any(line.seq == kept.n and line.sha256 == kept.sha256 for line in lines):
        return []
    return [f"line {kept.n}, which the people file knows of, is not there; the log was cut off or replaced"]


def _chained(line: Line, previous: str, n: int) -> bool:
    row = EventRow(line.seq, line.kind, None, line.utc_s, QUALITY, canonical_json(line.payload))
    return line.seq == n + 1 and line.sha256 == digest(previous, CHAIN, row)


def _head_of(text: bytes, path: Path) -> LogHead:
    try:
        line = _line(text)
    except ValueError:
        remedy = "have someone answerable set the log aside, with its people file, and begin a new one"
        raise StoreError(f"{path}: its last line is damaged; {remedy}") from None
    return LogHead(line.seq, line.sha256)


def _line(text: bytes) -> Line:
    """The line of its bytes; raises ValueError if it is none."""
    value = read_json(text)
    if type(value) is not list or [*map(type, value)] != _SHAPE:
        raise ValueError("not a line of the audit log")
    return Line._make(value)
