"""Several watchers of one run."""

from __future__ import annotations

from bmsctl.domain.limits import Measurement
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import StationWatch


class Watches:
    """Passes everything on to each watcher; implements StationWatch."""

    def __init__(self, *watches: StationWatch | None) -> None:
        self._watches = [watch for watch in watches if watch is not None]

    def step_started(self, step: str, index: int, total: int) -> None:
        for watch in self._watches:
            watch.step_started(step, index, total)

    def measured(self, step: str, measurement: Measurement) -> None:
        for watch in self._watches:
            watch.measured(step, measurement)

    def step_finished(self, step: str, verdict: Verdict, reason: str) -> None:
        for watch in self._watches:
            watch.step_finished(step, verdict, reason)

    def verdict_shown(self, record_id: str, verdict: Verdict, head_sha256: str) -> None:
        for watch in self._watches:
            watch.verdict_shown(record_id, verdict, head_sha256)
