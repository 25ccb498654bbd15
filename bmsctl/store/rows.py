"""Rows of the store read back as events, believed only as far as their hashes hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from bmsctl.domain.attempts import Attempt
from bmsctl.domain.canonical import read_json
from bmsctl.domain.events import AttemptClosed, DispositionSet, Event, from_payload
from bmsctl.errors import StoreError
from bmsctl.store.chain import GENESIS, EventRow, digest

ATTEMPT_COLUMNS = tuple(field.name for field in fields(Attempt))
EVENT_COLUMNS = (*EventRow._fields, "sha256")
SELECT_EVENTS = f"SELECT {', '.join(EVENT_COLUMNS)} FROM event WHERE run_id = ? ORDER BY seq"

_SELECT_ATTEMPTS = f"SELECT id, {', '.join(ATTEMPT_COLUMNS)} FROM run"
_SELECT_TAIL = "SELECT seq, kind, payload FROM event WHERE run_id = ? ORDER BY seq DESC"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as stored, its chain checked."""

    run_id: int
    events: Sequence[Event]
    head_sha256: str


def attempts(connection: sqlite3.Connection, where: str = "TRUE", *values: object) -> list[Attempt]:
    """The runs a condition on their rows selects, in the order they were opened; how each ended, its events say.

    Raises:
        StoreError: an event cannot be read.
        sqlite3.Error: the file cannot be read.
    """
    rows = connection.execute(f"{_SELECT_ATTEMPTS} WHERE {where} ORDER BY id", values)
    return [_ended(connection, run_id, Attempt(*row)) for run_id, *row in rows]


def _ended(connection: sqlite3.Connection, run_id: int, attempt: Attempt) -> Attempt:
    tail: list[Event] = []
    for seq, kind, payload in connection.execute(_SELECT_TAIL, (run_id,)):
        if kind in (AttemptClosed.kind, DispositionSet.kind):
            tail.append(_event(attempt.record_id, seq, kind, payload))
        if kind != DispositionSet.kind:
            break
    attempt = replace(attempt, ended_at=None, verdict=None, disposition=None)
    for event in reversed(tail):
        attempt = attempt.after(event)
    return attempt


def load_run(connection: sqlite3.Connection, record_id: str) -> StoredRun | None:
    """The run with this record, None if there is none.

    Raises:
        StoreError: its chain is broken or an event cannot be read.
        sqlite3.Error: the file cannot be read.
    """
    found = connection.execute("SELECT id FROM run WHERE record_id = ?", (record_id,)).fetchone()
    if found is None:
        return None
    events: list[Event] = []
    head = GENESIS
    for *columns, sha256 in connection.execute(SELECT_EVENTS, found):
        row = EventRow(*columns)
        head = digest(head, record_id, row)
        if head != sha256 or row.seq != len(events) + 1:
            raise StoreError(f"record {record_id} is damaged at event {row.seq}; run `bmsctl records verify`")
        events.append(_event(record_id, row.seq, row.kind, row.payload))
    return StoredRun(found[0], events, head)


def _event(record_id: str, seq: int, kind: str, payload: str) -> Event:
    try:
        return from_payload(kind, read_json(payload))
    except ValueError as error:
        raise StoreError(
            f"record {record_id}, event {seq}: {error}; run `bmsctl records verify`, or update bmsctl if a newer one "
            "wrote it"
        ) from error


def last_run_id(connection: sqlite3.Connection) -> int:
    """The highest run id in use, 0 if there is none. Raises sqlite3.Error."""
    row = connection.execute("SELECT coalesce(max(id), 0) FROM run").fetchone()
    return int(row[0])
