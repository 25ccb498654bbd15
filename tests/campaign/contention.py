"""How long processes had to wait for a processor: a machine too busy for real time is no fault of a station."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path


class ProcessorWait:
    """Watches processes from now on.

    Source: the Linux kernel's documentation, scheduler/sched-stats, /proc/<pid>/schedstat.
    """

    def __init__(self, processes: Sequence[int]) -> None:
        self._processes = processes
        self._before_s = self._waited_s()

    def longest_s(self) -> float:
        """How long the threads of one process, the worst, have waited since then, added up."""
        return max(now_s - before_s for now_s, before_s in zip(self._waited_s(), self._before_s, strict=True))

    def _waited_s(self) -> list[float]:
        return [sum(_thread_waits_s(process)) for process in self._processes]


def _thread_waits_s(process: int) -> Iterable[float]:
    for thread in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # it has ended
            yield int((thread / "schedstat").read_text().split()[1]) / 1e9
