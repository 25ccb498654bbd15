"""From a receive thread to the loop: in order, in batches, bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """Items that wait for the loop. When it does not keep up, the oldest are dropped and counted in `overflow`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[list[T]], None], depth: int) -> None:
        """`deliver`: called on the loop with all that has come since its last call, at most `depth` items."""
        self._loop = loop
        self._deliver = deliver
        self._depth = depth
        self._lock = threading.Lock()
        self._pending: list[T] = []
        self._woken = False
        self.overflow = 0

    def put(self, items: list[T]) -> None:
        """Hand items over, from any thread."""
        with self._lock:
            self._pending += items
            surplus = len(self._pending) - self._depth
            if surplus > 0:
                del self._pending[:surplus]
                self.overflow += surplus
            if self._woken:
                return
            self._woken = True
        # A closed loop takes nothing more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        with self._lock:
            items, self._pending = self._pending, []
            self._woken = False
        self._deliver(items)
