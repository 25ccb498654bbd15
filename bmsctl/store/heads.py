"""Heads of the chains, kept outside the database: a run removed, or cut at its end, is missed here.

`heads.log` is append-only, a JSON array `[record_id, n, sha256]` a line: the run had `n` events and this
head when it was opened, closed, or given a disposition.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bmsctl.domain.canonical import canonical_json, read_json
from bmsctl.store.folder import sync_names

FILE = "heads.log"


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
    heads, problems = [], []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            heads.append(_parse(line))
        except ValueError:
            problems.append(f"line {number} is damaged")
    return heads, problems


def _parse(line: bytes) -> Head:
    match read_json(line):
        case [str(record_id), int(n), str(sha256)]:
            return Head(record_id, n, sha256)
    raise ValueError("not a head")
