"""How long a loop was kept from running: a busy machine can stall a bench, and a stall is no fault of the station."""

from __future__ import annotations

import asyncio

LOOK_S = 0.02
NOTABLE_S = 0.1
"""A stall this long may have cost an answer its deadline: the shortest, the BMS's diagnostic one, is 150 ms."""


class StallWatch:
    """Watches the running loop by a timer; `longest_s`: its greatest delay so far."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time() + LOOK_S
        self._timer = self._loop.call_at(self._due_s, self._look)

    def stop(self) -> None:
        """Look no more. Idempotent."""
        self._timer.cancel()

    def _look(self) -> None:
        now_s = self._loop.time()
        self.longest_s = max(self.longest_s, now_s - self._due_s)
        self._due_s = now_s + LOOK_S
        self._timer = self._loop.call_at(self._due_s, self._look)
