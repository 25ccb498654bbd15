"""The store, open to write: one process at a time, held by a lock."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bmsctl.domain.attempts import Attempt
from bmsctl.domain.events import AttemptOpened
from bmsctl.domain.links import Clock
from bmsctl.errors import StoreError
from bmsctl.store import database, heads, rows
from bmsctl.store.database import explained
from bmsctl.store.folder import take_lock
from bmsctl.store.heads import Head
from bmsctl.store.run_journal import RunJournal
from bmsctl.store.writer import Writer

_HEADS = """
    SELECT run.record_id, event.seq, event.sha256 FROM run
    JOIN event ON event.run_id = run.id
    WHERE event.seq = (SELECT max(seq) FROM event WHERE run_id = run.id)
    ORDER BY run.id
"""
_SHA256_AT = """
    SELECT event.sha256 FROM event
    JOIN run ON run.id = event.run_id
    WHERE run.record_id = ? AND event.seq = ?
"""


class Journal:
    """The one writer of a store."""

    def __init__(self, folder: Path, clock: Clock, lock: int, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self._folder = folder
        self._lock: int | None = lock
        self._connection = connection
        self._writer = Writer(folder, clock, connection)
        self._next_run_id = rows.last_run_id(connection) + 1

    @classmethod
    def open(cls, folder: Path, clock: Clock) -> Journal:
        """Open the store in `folder`, made if there is none, and take its lock.

        Raises:
            StoreError: in use, not writable, damaged, behind its own heads, or not a store.
            StoreTooNew: written by a newer bmsctl.
        """
        with explained(f"{folder}: the store cannot be opened"):
            folder.mkdir(parents=True, exist_ok=True)
            lock = take_lock(folder)
            try:
                return cls(folder, clock, lock, _open_database(folder))
            except BaseException:
                os.close(lock)
                raise

    def open_run(self, opened: AttemptOpened) -> RunJournal:
        """Begin an attempt; durable after its first commit."""
        run_id = self._next_run_id
        self._next_run_id += 1
        return RunJournal.begin(self._writer, run_id, opened)

    def resume(self, record_id: str) -> RunJournal:
        """Go on with a stored attempt.

        Raises:
            StoreError: there is none, or it is damaged.
        """
        with self._reading():
            stored = rows.load_run(self._connection, record_id)
        if stored is None:
            raise StoreError(f"{self._folder}: there is no record {record_id}")
        return RunJournal.resumed(self._writer, stored)

    def attempts(self, pack_serial: str, station: str) -> list[Attempt]:
        """Durable attempts of a pack at a station, oldest first."""
        with self._reading():
            return rows.attempts(self._connection, "pack_serial = ? AND station = ?", pack_serial, station)

    def open_attempts(self, station: str) -> list[Attempt]:
        """Durable attempts at a station that were never closed, oldest first."""
        with self._reading():
            return rows.attempts(self._connection, "verdict IS NULL AND station = ?", station)

    def close(self) -> None:
        """Write what is still in memory, close the file, give the lock back. Idempotent.

        Raises:
            StoreError: the last write failed.
        """
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        try:
            with explained(f"{self._folder}: the store cannot be closed"):
                try:
                    self._writer.finish()
                finally:
                    self._connection.close()
        finally:
            os.close(lock)

    def _reading(self) -> AbstractContextManager[None]:
        return explained(f"{self._folder}: the store cannot be read")


def _open_database(folder: Path) -> sqlite3.Connection:
    crashed = (folder / f"{database.FILE}-wal").exists()
    heads.drop_torn_line(folder)
    known, _ = heads.read(folder)
    connection = database.open_to_write(folder)
    try:
        if known:
            _refuse_older(folder, connection, known[-1])
        if crashed:
            _complete_heads(folder, connection, known)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_older(folder: Path, connection: sqlite3.Connection, last: Head) -> None:
    """A database without the last head that was kept elsewhere has been replaced by an older one, or cut."""
    found = connection.execute(_SHA256_AT, (last.record_id, last.n)).fetchone()
    if found != (last.sha256,):
        raise StoreError(
            f"{folder}: the database lacks event {last.n} of record {last.record_id}, which {heads.FILE} names: "
            "it was cut, or an older copy put in its place; restore the newest one"
        )


def _complete_heads(folder: Path, connection: sqlite3.Connection, known: Sequence[Head]) -> None:
    """Add the heads of transactions that a crash kept from being noted."""
    noted = {head.record_id: head.n for head in known}
    stored = [Head(*row) for row in connection.execute(_HEADS)]
    missing = [head for head in stored if head.n > noted.get(head.record_id, 0)]
    if missing:
        heads.append(folder, missing)
