"""How a tightening controller gets its results to its client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from bmsctl.protocols.open_protocol import Result

REPEAT_S = 3.0
REPEATS_MAX = 3


class Outbox:
    """Results on their way to the client: one at a time, again until it is acknowledged, and then given up."""

    def __init__(self, send: Callable[[Result], None]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._coming: dict[int, asyncio.TimerHandle] = {}
        self._queue: deque[Result] = deque()
        self._repeat: asyncio.TimerHandle | None = None

    def put(self, result: Result, delay_s: float) -> None:
        """Send a result when it is ready, and those before it are through."""
        self._coming[result.tightening_id] = self._loop.call_later(delay_s, self._ready, result)

    def acknowledge(self) -> None:
        """The client has the result that was sent last."""
        if self._queue:
            self._next()

    def clear(self) -> None:
        """Send nothing more of it."""
        for timer in self._coming.values():
            timer.cancel()
        self._coming.clear()
        self._queue.clear()
        self._stop()

    def _ready(self, result: Result) -> None:
        del self._coming[result.tightening_id]
        self._queue.append(result)
        if len(self._queue) == 1:
            self._transmit(0)

    def _transmit(self, repeats: int) -> None:
        self._send(self._queue[0])
        self._repeat = self._loop.call_later(REPEAT_S, self._again, repeats + 1)

    def _again(self, repeats: int) -> None:
        if repeats > REPEATS_MAX:
            self._next()
        else:
            self._transmit(repeats)

    def _next(self) -> None:
        self._stop()
        self._queue.popleft()
        if self._queue:
            self._transmit(0)

    def _stop(self) -> None:
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None
