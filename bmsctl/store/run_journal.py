"""The log of one attempt. Implements `domain.journal.RunLog`."""

from __future__ import annotations

import asyncio
from typing import Any

from bmsctl.domain.attempts import Attempt
from bmsctl.domain.canonical import sha256_hex
from bmsctl.domain.events import AttemptClosed, AttemptOpened, DispositionSet, Event, TraceRecorded
from bmsctl.domain.ports import F64
from bmsctl.domain.record import fold
from bmsctl.errors import StoreError
from bmsctl.store.chain import GENESIS, EventRow, digest
from bmsctl.store.heads import Head
from bmsctl.store.rows import StoredRun
from bmsctl.store.writer import Writer

TRACE_DTYPE = "<f8"

_HEAD_KEPT = (AttemptOpened, AttemptClosed, DispositionSet)
"""Events after which the chain's head is also written outside the database."""


class RunJournal:
    """Append-only log of one attempt. Once it is closed, only a disposition may follow."""

    def __init__(self, writer: Writer, run_id: int, attempt: Attempt, events: list[Event], head_sha256: str) -> None:
        """Use `begin` or `resumed`."""
        self._writer = writer
        self._run_id = run_id
        self._attempt = attempt
        self._events = events
        self._head_sha256 = head_sha256
        self._now = asyncio.get_running_loop().time
        self._opened_s: float | None = None
        self._opening_durable = bool(events)

    @classmethod
    def begin(cls, writer: Writer, run_id: int, opened: AttemptOpened) -> RunJournal:
        """A new log; its times count from now."""
        log = cls(writer, run_id, Attempt.of(opened), [], GENESIS)
        log._opened_s = log._now()
        writer.add_run(run_id, log._attempt)
        log.append(opened)
        return log

    @classmethod
    def resumed(cls, writer: Writer, stored: StoredRun) -> RunJournal:
        """A log an earlier process began; its clock is lost, so events carry wall time only."""
        events = list(stored.events)
        return cls(writer, stored.run_id, Attempt.folded(events), events, stored.head_sha256)

    @property
    def record_id(self) -> str:
        """Of the attempt."""
        return self._attempt.record_id

    @property
    def events(self) -> tuple[Event, ...]:
        """What has been appended so far."""
        return tuple(self._events)

    def append(self, event: Event, trace: bytes | None = None) -> None:
        """Chain the event to the log; durable after the next `commit`. `trace`: the samples it tells of.

        Raises:
            StoreError: the log is closed, or the store takes nothing more.
            ValueError, TypeError: the event holds what JSON cannot say.
        """
        writer, attempt = self._writer, self._attempt
        writer.check()
        if attempt.verdict is not None and not isinstance(event, DispositionSet):
            raise StoreError(f"record {attempt.record_id} is closed; {event.kind} came too late")
        utc_s, quality = writer.clock.utc()
        # + 0.0: SQLite stores -0.0 as 0.0, and the hash must fit what is read back.
        t_s = None if self._opened_s is None else self._now() - self._opened_s + 0.0
        seq = len(self._events) + 1
        row = EventRow(seq, event.kind, t_s, utc_s + 0.0, quality, event.payload_json())
        self._head_sha256 = digest(self._head_sha256, attempt.record_id, row)
        self._events.append(event)
        writer.add_event((self._run_id, *row, self._head_sha256), trace)
        changed = attempt.after(event)
        if changed is not attempt:
            self._attempt = changed
            writer.add_run(self._run_id, changed)
        if isinstance(event, _HEAD_KEPT):
            writer.add_head(Head(attempt.record_id, seq, self._head_sha256))

    def add_trace(self, step: str, name: str, unit: str, sample_rate_hz: float | None, data: F64) -> None:
        """Append a trace, (n,) in `unit`; `sample_rate_hz` is None for values that are no time series."""
        if data.ndim != 1:
            raise ValueError(f"trace {name}: shape {data.shape}, one dimension is needed")
        samples = data.astype(TRACE_DTYPE).tobytes()
        sha256 = sha256_hex(samples)
        self.append(TraceRecorded(step, name, unit, sample_rate_hz, data.size, TRACE_DTYPE, sha256), samples)

    async def commit(self) -> str:
        """Return the head's SHA-256 once everything appended before the call is durable.

        Raises:
            StoreError: a write failed; the store takes nothing more.
        """
        head_sha256 = self._head_sha256
        await self._writer.commit()
        self._opening_durable = True
        return head_sha256

    def commit_soon(self) -> None:
        """Make durable what was appended within moments; a failure shows at the next call."""
        self._writer.begin_soon()

    async def close(self, closed: AttemptClosed) -> dict[str, Any]:
        """Append the end, make it durable, and return the record folded from the log."""
        # No transaction holds both: a run that has ended and is noted nowhere was not left by a crash.
        if not self._opening_durable:
            await self.commit()
        self.append(closed)
        head_sha256 = await self.commit()
        return fold(self._events, head_sha256)
