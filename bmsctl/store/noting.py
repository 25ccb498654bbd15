"""Do the database and the heads kept outside it tell of the same runs?

A head is written right after the transaction that holds its event, so a crash can leave the heads of the
newest transaction unwritten, and nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bmsctl.domain.events import AttemptClosed, DispositionSet
from bmsctl.errors import StoreError
from bmsctl.store import database, heads
from bmsctl.store.heads import Head

_TAILS = """
    SELECT run.record_id, first.sha256, last.seq, last.sha256, last.kind IN (?, ?) FROM run
    JOIN event AS first ON first.run_id = run.id AND first.seq = 1
    JOIN event AS last ON last.run_id = run.id AND last.seq = (SELECT max(seq) FROM event WHERE run_id = run.id)
    ORDER BY run.id
"""
_SHA256_AT = """
    SELECT event.sha256 FROM event
    JOIN run ON run.id = event.run_id
    WHERE run.record_id = ? AND event.seq = ?
"""
_RESTORE_DATABASE = f"restore the newest {database.FILE} from a backup, or {database.ASIDE}"
_RESTORE_HEADS = f"restore the newest {heads.FILE} from a backup, or {database.ASIDE}"


class Noting(NamedTuple):
    """How much of a run is noted: `noted` of its `n` events (0: nothing), and whether it is closed."""

    record_id: str
    n: int
    closed: bool
    noted: int

    @property
    def lacking(self) -> bool:
        """The newest event that must be noted is not: the last of a closed run, the first of an open one."""
        return self.noted < (self.n if self.closed else 1)


def unexplained(runs: Sequence[Noting], crashed: bool) -> Iterator[Noting]:
    """Runs, of those given in the order they were opened, that lack a head no crash kept from being written.

    `crashed`: the write-ahead log is there, so the newest transaction may lack its heads. None holds both a
    run's opening and its end.
    """
    newest_noted = max((place for place, run in enumerate(runs) if run.noted), default=-1)
    for place, run in enumerate(runs):
        if run.lacking and not (crashed and (run.noted or (not run.closed and place > newest_noted))):
            yield run


def unnoted(folder: Path) -> list[Head]:
    """Heads a crash kept from being noted, to be appended before anything else is. Changes nothing.

    Raises:
        StoreError, StoreTooNew: not a store of this program, or database and heads tell of different runs.
        sqlite3.Error, OSError: the files cannot be read.
    """
    known, problems = heads.read(folder)
    if problems:
        raise StoreError(f"{folder}: {heads.FILE}: {problems[0]}; {_RESTORE_HEADS}")
    if not (folder / database.FILE).exists():
        refuse_lost(folder, known)
        return []
    with database.open_to_read(folder) as connection:
        if database.revision_of(connection, folder) is None:
            refuse_lost(folder, known)
            return []
        return _compared(folder, connection, known)


def refuse_lost(folder: Path, known: Sequence[Head]) -> None:
    """Raise StoreError if the database, which is gone or has no tables, held the records of these heads."""
    if known:
        raise StoreError(
            f"{folder}: {database.FILE} is gone or empty, though {heads.FILE} names records; {_RESTORE_DATABASE}"
        )


def _compared(folder: Path, connection: sqlite3.Connection, known: Sequence[Head]) -> list[Head]:
    tails = connection.execute(_TAILS, (AttemptClosed.kind, DispositionSet.kind)).fetchall()
    if tails and not (folder / heads.FILE).exists():
        raise StoreError(f"{folder}: {heads.FILE} is gone, though the database has records; {_RESTORE_HEADS}")
    noted: dict[str, int] = {}
    ends = {tail[0]: tail for tail in tails}
    for head in known:
        record_id, n, sha256 = head
        if _stored(connection, ends, head) != sha256:
            raise StoreError(
                f"{folder}: the database lacks event {n} of record {record_id}, which {heads.FILE} names: it was "
                f"changed or cut, or an older copy put in its place; {_RESTORE_DATABASE}"
            )
        if n > noted.get(record_id, 0):
            noted[record_id] = n
    crashed = database.has_log(folder)
    runs = [Noting(record_id, n, bool(closed), noted.get(record_id, 0)) for record_id, _, n, _, closed in tails]
    for run in unexplained(runs, crashed):
        raise StoreError(
            f"{folder}: {heads.FILE} lacks the newest head of record {run.record_id}: it was cut, or an older copy "
            f"put in its place; {_RESTORE_HEADS}"
        )
    if not crashed:
        return []
    return [Head(record_id, n, last) for record_id, _, n, last, _ in tails if n > noted.get(record_id, 0)]


def _stored(connection: sqlite3.Connection, ends: Mapping[str, Sequence[Any]], head: Head) -> str | None:
    """The hash of the event that the head names; asked of the database only if it is neither first nor last."""
    record_id, n, _ = head
    tail = ends.get(record_id)
    if tail is None:
        return None
    _, first, newest, last, _ = tail
    if n in (1, newest):
        return str(first if n == 1 else last)
    row = connection.execute(_SHA256_AT, (record_id, n)).fetchone()
    return row[0] if row else None
