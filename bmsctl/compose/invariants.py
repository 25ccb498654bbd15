"""An observer of the records: looks into the store by itself whenever something is shown, and at the end.

I3: as many attempts closed as opened, ids unique. I4: nothing is shown that is not durable, with the same
verdict and hash. I7: the chain of every record shown verifies.
"""

from __future__ import annotations

from pathlib import Path

from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import StationWatch
from bmsctl.errors import StoreError
from bmsctl.store.reader import Reader
from bmsctl.store.verify import examine


class RecordMonitor(StationWatch):
    """`finish` gives the violations."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._findings: list[str] = []
        self._shown: list[str] = []

    def verdict_shown(self, record_id: str, verdict: Verdict, head_sha256: str) -> None:
        """Compare with what another reader of the store finds."""
        self._shown.append(record_id)
        try:
            with Reader.open(self._store) as reader:
                record = reader.record(record_id)
        except StoreError as error:
            self._findings.append(f"I4: {verdict} shown for {record_id}, which cannot be read back: {error}")
            return
        if record is None:
            self._findings.append(f"I4: {verdict} shown for {record_id}, which is not in the store")
        elif (record["verdict"], record["events"]["head_sha256"]) != (verdict.value, head_sha256):
            self._findings.append(f"I4: {verdict} shown for {record_id}, the store has {record['verdict']}")

    def finish(self) -> list[str]:
        """All violations; of the chains, those of the records shown."""
        with Reader.open(self._store) as reader:
            attempts = reader.attempts()
        ids = [attempt.record_id for attempt in attempts]
        if len(set(ids)) != len(ids):
            self._findings.append("I3: two attempts have the same id")
        self._findings += [f"I3: attempt {one.record_id} was never closed" for one in attempts if one.verdict is None]
        self._findings += [f"I7: {finding}" for finding in examine(self._store, self._shown).findings]
        return self._findings
