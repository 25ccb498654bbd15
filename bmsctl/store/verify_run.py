"""One run, checked: chain, traces, its row, its head kept elsewhere, and every verdict again.

The connection hands text over as bytes, so that damaged text arrives at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bmsctl.domain.attempts import Attempt
from bmsctl.domain.canonical import read_json, sha256_hex
from bmsctl.domain.derivation import differences
from bmsctl.domain.events import (
    AttemptClosed,
    AttemptOpened,
    Event,
    StepFinished,
    StepKept,
    TraceRecorded,
    from_payload,
)
from bmsctl.domain.verdict import Verdict
from bmsctl.store import heads
from bmsctl.store.chain import GENESIS, EventRow, digest
from bmsctl.store.heads import Head
from bmsctl.store.noting import Noting
from bmsctl.store.rows import ATTEMPT_COLUMNS, SELECT_EVENTS

_SELECT_TRACES = "SELECT seq, data FROM trace WHERE run_id = ? ORDER BY seq"
_SELECT_STEPS = """
    SELECT event.payload FROM event JOIN run ON run.id = event.run_id
    WHERE run.record_id = ? AND run.pack_serial = ? AND event.kind = ?
"""
_SAMPLE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: in which run (None: the store as a whole), at which event, and what."""

    record_id: str | None
    seq: int | None
    what: str

    def __str__(self) -> str:
        run = self.record_id or "store"
        return f"{run}: {self.what}" if self.seq is None else f"{run}: event {self.seq}: {self.what}"


@dataclass
class RunReport:
    """What was found in one run; `notices` are no differences."""

    record_id: str
    noting: Noting | None = None
    findings: list[Finding] = field(default_factory=list)
    notices: list[Finding] = field(default_factory=list)


@dataclass
class _Chain:
    """A run's event rows: hash as stored, event where it could be read, None elsewhere; `broken` by seq."""

    sha256: list[str] = field(default_factory=list)
    events: list[Event | None] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)


def check_run(
    connection: sqlite3.Connection, run_id: int, row: Sequence[Any], noted: Mapping[str, Sequence[Head]]
) -> RunReport:
    """Check the run whose row, as read, is `row`, against the heads noted elsewhere by record id."""
    raw = connection.execute(SELECT_EVENTS, (run_id,)).fetchall()
    record_id = _record_id(printable(row[0]), raw)
    report = RunReport(record_id)
    chain = _check_chain(record_id, raw)
    traces = connection.execute(_SELECT_TRACES, (run_id,))
    kept = noted.get(record_id, ())
    found = [*chain.broken, *_check_traces(chain.events, traces), *_check_heads(chain.sha256, kept)]
    report.findings += [Finding(record_id, seq, what) for seq, what in sorted(found)]
    events = [event for event in chain.events if event is not None]
    report.findings += [Finding(record_id, None, what) for what in _check_row(row, events)]
    if not chain.broken:
        report.findings += [Finding(record_id, each.seq, each.what) for each in differences(events)]
        report.findings += [Finding(record_id, seq, what) for seq, what in _check_kept(connection, events)]
    closed = any(isinstance(event, AttemptClosed) for event in events)
    report.noting = Noting(record_id, len(raw), closed, max((head.n for head in kept), default=0))
    if not closed:
        report.notices.append(Finding(record_id, None, "open: not closed yet"))
    return report


def _record_id(row_says: str, raw: Sequence[Sequence[Any]]) -> str:
    """The id the chain was made with: the row's, or the first event's if only that fits."""
    if not raw:
        return row_says
    opened = _decoded(raw[0])[1]
    if isinstance(opened, AttemptOpened):
        for candidate in (row_says, opened.record_id):
            if _link(GENESIS, candidate, raw[0]) == printable(raw[0][-1]):
                return candidate
    return row_says


def _check_chain(record_id: str, raw: Sequence[Sequence[Any]]) -> _Chain:
    """Walk the chain; one finding for every row that was changed, and for every gap."""
    chain = _Chain()
    previous, or_else = GENESIS, GENESIS
    for expected, columns in enumerate(raw, start=1):
        stored = printable(columns[-1])
        link = _link(previous, record_id, columns)
        if link != stored and _link(or_else, record_id, columns) == stored:
            link = stored  # the row before was changed in its hash only, which is named there
        problem, event = _decoded(columns)
        if columns[0] != expected:
            chain.broken.append((expected, f"missing or moved; the row there is numbered {printable(columns[0])}"))
        elif link != stored:
            chain.broken.append((expected, "changed: its sha256 does not fit its columns and the event before"))
        elif problem:
            chain.broken.append((expected, problem))
        chain.sha256.append(stored)
        chain.events.append(event)
        previous, or_else = stored, link or stored
    if not raw:
        chain.broken.append((1, "missing: the run has no events"))
    return chain


def _link(previous: str, record_id: str, columns: Sequence[Any]) -> str | None:
    """The hash these columns must have; None if no row can have such columns."""
    seq, kind, t_s, utc_s, quality, payload, _ = columns
    try:
        row = EventRow(seq, _text(kind), t_s, utc_s, _text(quality), _text(payload))
        return digest(previous, record_id, row)
    except (ValueError, TypeError):
        return None


def _decoded(columns: Sequence[Any]) -> tuple[str | None, Event | None]:
    """Why the row cannot be read as an event, or the event."""
    try:
        return None, from_payload(_text(columns[1]), read_json(_text(columns[5])))
    except (ValueError, TypeError) as error:
        return f"cannot be read: {error}", None


def _check_traces(events: Sequence[Event | None], stored: Iterable[Sequence[Any]]) -> Iterator[tuple[int, str]]:
    """Every trace recorded is stored as hashed, and none else is."""
    recorded = {seq: event for seq, event in enumerate(events, start=1) if isinstance(event, TraceRecorded)}
    for seq, data in stored:
        event = recorded.pop(seq, None)
        if event is None:
            yield _integer(seq), "a trace is stored that the event does not record"
        elif not isinstance(data, bytes) or sha256_hex(data) != event.sha256:
            yield seq, f"trace {event.name} of step {event.step}: changed, its sha256 does not fit"
        elif len(data) != event.n * _SAMPLE_BYTES:
            yield seq, f"trace {event.name} of step {event.step}: {len(data)} bytes for {event.n} samples"
    for seq, event in recorded.items():
        yield seq, f"trace {event.name} of step {event.step}: missing"


def _check_heads(sha256: Sequence[str], kept: Sequence[Head]) -> Iterator[tuple[int, str]]:
    """The chain contains every head that was kept elsewhere."""
    for head in kept:
        if head.n > len(sha256):
            yield head.n, f"missing: the run was cut after event {len(sha256)}; {heads.FILE} names this one"
        elif head.n < 1 or sha256[head.n - 1] != head.sha256:
            yield head.n, f"not the one that {heads.FILE} names"


def _check_kept(connection: sqlite3.Connection, events: Sequence[Event]) -> Iterator[tuple[int, str]]:
    """Every step that was kept passed in the record named, which is one of the same pack."""
    serial = next((event.pack_serial for event in events if isinstance(event, AttemptOpened)), None)
    for seq, event in enumerate(events, start=1):
        if isinstance(event, StepKept):
            selected = (event.record_id, serial, StepFinished.kind)
            payloads = [read_json(_text(payload)) for (payload,) in connection.execute(_SELECT_STEPS, selected)]
            verdicts = {each["step"]: each["verdict"] for each in payloads}
            verdict = verdicts.get(event.step)
            if verdict != Verdict.PASS:
                shown = "did not run" if verdict is None else f"is {verdict}"
                yield seq, f"step {event.step} was kept, but in record {event.record_id} of this pack it {shown}"


def _check_row(row: Sequence[Any], events: Sequence[Event]) -> Iterator[str]:
    """The run's row repeats its events."""
    try:
        told = Attempt.folded(events)
    except ValueError as error:
        yield str(error)
        return
    for name, value in zip(ATTEMPT_COLUMNS, row, strict=True):
        stored = _text_or_value(value)
        if stored != getattr(told, name):
            yield f"column {name} of its row is {stored!r}, its events say {getattr(told, name)!r}"


def _text(value: Any) -> str:
    """Text as SQLite handed it over; raises ValueError or TypeError if it is none."""
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r} is no text")
    return value.decode()


def _text_or_value(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def printable(value: Any) -> str:
    """Any column's value as text for people."""
    return str(_text_or_value(value))


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else 0
