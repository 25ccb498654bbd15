"""Transactions: rows are kept in memory until a commit, and all runs share one transaction at a time.

After a failed write nothing is trusted any more: every later call raises, and what was acknowledged before
is in the file.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from bmsctl.domain.attempts import Attempt
from bmsctl.domain.links import Clock
from bmsctl.errors import StoreError
from bmsctl.store import heads, rows
from bmsctl.store.heads import Head

COMMIT_COST_S = 0.002
GROUP_S = 0.005
"""How long events that nobody waits for may wait for others to share their transaction."""

_RUN_COLUMNS = ("id", *rows.ATTEMPT_COLUMNS)
_EVENT_COLUMNS = ("run_id", *rows.EVENT_COLUMNS)
_UPSERT_RUN = (
    f"INSERT INTO run ({', '.join(_RUN_COLUMNS)}) VALUES ({', '.join('?' * len(_RUN_COLUMNS))}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in rows.ATTEMPT_COLUMNS)}"
)
_INSERT_EVENT = f"INSERT INTO event ({', '.join(_EVENT_COLUMNS)}) VALUES ({', '.join('?' * len(_EVENT_COLUMNS))})"
_INSERT_TRACE = "INSERT INTO trace (run_id, seq, data) VALUES (?, ?, ?)"


@dataclass
class _Batch:
    """What one transaction writes."""

    runs: dict[int, Attempt] = field(default_factory=dict)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    traces: list[tuple[int, int, bytes]] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)


class Writer:
    """Writes rows to an open store."""

    def __init__(self, folder: Path, clock: Clock, connection: sqlite3.Connection) -> None:
        self.clock = clock
        self._folder = folder
        self._connection = connection
        self._batch = _Batch()
        self._n_added = 0
        self._n_written = 0
        self._n_durable = 0
        self._writing: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._soon: asyncio.TimerHandle | None = None
        self._failure: str | None = None
        self.heads_lost = False
        """The newest transaction is durable and its heads are not: only the write-ahead log can tell the next start."""

    def add_run(self, run_id: int, attempt: Attempt) -> None:
        """Insert or renew a run's row with the next transaction."""
        self._batch.runs[run_id] = attempt

    def add_event(self, row: tuple[Any, ...], trace: bytes | None = None) -> None:
        """Insert an event row (run_id, seq, …), and the samples of its trace, with the next transaction."""
        self._batch.events.append(row)
        if trace is not None:
            self._batch.traces.append((row[0], row[1], trace))
        self._n_added += 1

    def add_head(self, head: Head) -> None:
        """Write the head outside the database once the next transaction is durable."""
        self._batch.heads.append(head)

    async def commit(self) -> None:
        """Return once everything added before the call is durable.

        Raises:
            StoreError: a write failed, now or earlier.
        """
        self.check()
        target = self._n_added
        while self._n_durable < target:
            self.begin()
            # A future of its own: a caller that is cancelled must not take the transaction of the others with it.
            written = asyncio.get_running_loop().create_future()
            self._waiting.append(written)
            await written
            self.check()

    def begin_soon(self) -> None:
        """Begin a transaction in a moment, so that a burst of events shares it."""
        if self._writing is None and self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(GROUP_S, self.begin)

    def begin(self) -> None:
        """Begin a transaction with everything added so far, unless one is under way."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._writing is None and self._failure is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_batch())
            self._writing.add_done_callback(_retrieve)

    def finish(self) -> None:
        """Write what is still in memory, at once; then take nothing more. Raises sqlite3.Error, OSError."""
        if self._soon is not None:
            self._soon.cancel()
        batch, self._batch = self._batch, _Batch()
        failed, self._failure = self._failure, self._failure or "it is closed"
        # Without what came before, these events would look like a chain that was tampered with.
        if failed is None and batch.events and self._n_written + len(batch.events) == self._n_added:
            self._write(batch)

    def check(self) -> None:
        """Raise StoreError if the store takes nothing more."""
        if self._failure is not None:
            raise StoreError(f"{self._folder}: the store takes nothing more: {self._failure}; mend it, then restart")

    async def _write_batch(self) -> None:
        batch, self._batch = self._batch, _Batch()
        try:
            await self.clock.offload(self._write, batch, cost_s=COMMIT_COST_S)
        except (sqlite3.Error, OSError) as error:
            self._failure = str(error)
        except BaseException:
            self._failure = "a write was interrupted"
            raise
        else:
            self._n_durable += len(batch.events)
        finally:
            self._writing = None
            waiting, self._waiting = self._waiting, []
            for written in waiting:
                if not written.done():
                    written.set_result(None)
            if self._batch.events and self._failure is None:
                self.begin_soon()

    def _write(self, batch: _Batch) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            runs = [(run_id, *astuple(attempt)) for run_id, attempt in batch.runs.items()]
            for statement, values in (
                (_UPSERT_RUN, runs),
                (_INSERT_EVENT, batch.events),
                (_INSERT_TRACE, batch.traces),
            ):
                if values:
                    connection.executemany(statement, values)
            connection.execute("COMMIT")
            self._n_written += len(batch.events)
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        if batch.heads:
            self.heads_lost = True
            heads.append(self._folder, batch.heads)
            self.heads_lost = False


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at the outcome: with every caller cancelled nobody else would, and asyncio would complain."""
    if not task.cancelled():
        task.exception()
