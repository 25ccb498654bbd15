"""Several watchers of one run."""

from __future__ import annotations

from collections.abc import Callable

from bmsctl.domain.limits import Measurement
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import StationWatch


class Watches(StationWatch):
    """Passes everything on to each watcher.

    A watcher that raises is told nothing further, and the run goes on: `failures` tells.
    """

    def __init__(self, *watches: StationWatch | None) -> None:
        self._watches = [watch for watch in watches if watch is not None]
        self.failures: list[str] = []

    def step_started(self, step: str, index: int, total: int) -> None:
        self._tell(lambda watch: watch.step_started(step, index, total))

    def measured(self, step: str, measurement: Measurement) -> None:
        self._tell(lambda watch: watch.measured(step, measurement))

    def step_finished(self, step: str, verdict: Verdict, reason: str) -> None:
        self._tell(lambda watch: watch.step_finished(step, verdict, reason))

    def notice(self, text: str) -> None:
        self._tell(lambda watch: watch.notice(text))

    def verdict_shown(self, record_id: str, verdict: Verdict, head_sha256: str) -> None:
        self._tell(lambda watch: watch.verdict_shown(record_id, verdict, head_sha256))

    def _tell(self, call: Callable[[StationWatch], None]) -> None:
        for watch in tuple(self._watches):
            try:
                call(watch)
            except Exception as error:
                self._watches.remove(watch)
                self.failures.append(f"{type(watch).__name__}: {type(error).__name__}: {error}")
