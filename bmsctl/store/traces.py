"""Traces of the store read back as arrays, apart from the rows, because most readers need no numpy."""

from __future__ import annotations

import sqlite3

import numpy as np

from bmsctl.domain.canonical import sha256_hex
from bmsctl.domain.events import StepRepeated, TraceRecorded
from bmsctl.domain.traces import Trace, Traces
from bmsctl.errors import StoreError
from bmsctl.store.rows import StoredRun


def load(connection: sqlite3.Connection, run: StoredRun, record_id: str) -> Traces:
    """The traces of a run; of a step that was repeated, those that count.

    Raises:
        StoreError: one is missing, or does not fit its hash.
        sqlite3.Error: the file cannot be read.
    """
    samples = dict(connection.execute("SELECT seq, data FROM trace WHERE run_id = ?", (run.run_id,)))
    traces: dict[tuple[str, str], Trace] = {}
    for seq, event in enumerate(run.events, start=1):
        if isinstance(event, StepRepeated):
            traces = {key: trace for key, trace in traces.items() if key[0] != event.step}
        elif isinstance(event, TraceRecorded):
            data = samples.get(seq, b"")
            if sha256_hex(data) != event.sha256:
                what = f"trace {event.name} of step {event.step}"
                raise StoreError(f"record {record_id}: {what} is damaged; run `bmsctl records verify`")
            values = np.frombuffer(data, event.dtype)
            traces[event.step, event.name] = Trace(event.unit, event.sample_rate_hz, values)
    return traces
