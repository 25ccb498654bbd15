"""Heads of the chains, kept outside the database: a run removed, or cut at its end, is missed here.

`heads.log` is append-only, a JSON array `[record_id, n, sha256]` a line: the run had `n` events and this
head when it was opened, closed, or given a disposition.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bmsctl.domain.canonical import canonical_json, read_json
from bmsctl.store.folder import sync_names

FILE = "heads.log"

_SHAPE = [str, int, str]


class Head(NamedTuple):
    """Length and head of a run's chain."""

    record_id: str
    n: int
    sha256: str


def create(folder: Path) -> None:
    """Make the file, empty, unless it is there; durable on return. Raises OSError.

    It is older than any run, so a store with runs and without it has lost it.
    """
    path = folder / FILE
    if not path.exists():
        path.touch()
        sync_names(folder)


def append(folder: Path, heads: Iterable[Head]) -> None:
    """Append the heads; durable on return. Raises OSError."""
    text = "".join(canonical_json(list(head)) + "\n" for head in heads)
    with (folder / FILE).open("ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def drop_torn_line(folder: Path) -> None:
    """Cut off a last line that a crash left unfinished; nobody was told of it. Raises OSError."""
    path = folder / FILE
    if not path.exists():
        return
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


def read(folder: Path) -> tuple[list[Head], list[str]]:
    """All heads in order, and what is wrong with lines that hold none. Raises OSError.

    An unfinished last line is what a crash leaves, and ignored.
    """
    path = folder / FILE
    if not path.exists():
        return [], []
    lines = path.read_bytes().split(b"\n")[:-1]
    with suppress(ValueError):
        return _parse_all(lines), []
    heads, problems = [], []
    for number, line in enumerate(lines, start=1):
        try:
            heads.append(_head(read_json(line)))
        except ValueError:
            problems.append(f"line {number} is damaged")
    return heads, problems


def _parse_all(lines: Sequence[bytes]) -> list[Head]:
    """All heads at once, five times as fast as one by one; raises ValueError if any line is damaged."""
    values = read_json(b"[" + b",".join(lines) + b"]")
    if len(values) != len(lines):
        raise ValueError("a line that is not one value")
    return [_head(value) for value in values]


def _head(value: Any) -> Head:
    if type(value) is not list or [*map(type, value)] != _SHAPE:
        raise ValueError("not a head")
    return Head._make(value)
