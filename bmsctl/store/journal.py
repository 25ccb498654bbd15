"""The store, open to write: one process at a time, held by a lock."""

from __future__ import annotations

import os
import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

from bmsctl.domain.attempts import Attempt
from bmsctl.domain.events import AttemptOpened, Event
from bmsctl.domain.links import Clock
from bmsctl.errors import StoreError
from bmsctl.store import database, heads, noting, rows
from bmsctl.store.database import explained
from bmsctl.store.folder import take_lock
from bmsctl.store.run_journal import RunJournal
from bmsctl.store.writer import Writer

_SELECT_TIMES = "SELECT utc_s FROM event WHERE run_id = ? ORDER BY seq"


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
            StoreError: in use, not writable, damaged, not what its heads say, or not a store.
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

    def history(self, record_id: str) -> list[tuple[float, Event]]:
        """Durable events of an attempt, each with the wall time, s since 1970, at which it was appended.

        Raises:
            StoreError: there is no such attempt, or it is damaged.
        """
        with self._reading():
            stored = rows.load_run(self._connection, record_id)
            if stored is None:
                raise StoreError(f"{self._folder}: there is no record {record_id}")
            times = self._connection.execute(_SELECT_TIMES, (stored.run_id,)).fetchall()
        return [(utc_s, event) for (utc_s,), event in zip(times, stored.events, strict=True)]

    def open_attempts(self, station: str) -> list[Attempt]:
        """Durable attempts at a station that were never closed, oldest first."""
        with self._reading():
            found = rows.attempts(self._connection, "verdict IS NULL AND station = ?", station)
        return [attempt for attempt in found if attempt.verdict is None]

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
                    database.close(self._connection, self._folder, keep_log=self._writer.heads_lost)
        finally:
            os.close(lock)

    def _reading(self) -> AbstractContextManager[None]:
        return explained(f"{self._folder}: the store cannot be read")


def _open_database(folder: Path) -> sqlite3.Connection:
    # Found out beside the file, so that a store that is refused keeps what shows why.
    missing = noting.unnoted(folder)
    heads.create(folder)
    heads.drop_torn_line(folder)
    connection = database.open_to_write(folder)
    try:
        if missing:
            # A killed writer may have left its last transaction unflushed; a head must not outlive it.
            connection.execute("PRAGMA wal_checkpoint")
            heads.append(folder, missing)
    except BaseException:
        connection.close()
        raise
    return connection
