"""The transmit side of a port: a bounded queue of whole telegrams, and the last check of the lease before each."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from bmsctl.domain.lease import Lease
from bmsctl.errors import TxFull

T = TypeVar("T")

RETRY_S = 0.001
"""How soon a telegram is tried again that the port could not take."""


class _Queued(NamedTuple, Generic[T]):
    telegram: T
    lease: Lease | None


class Transmitter(Generic[T]):
    """Hands telegrams to a port in the order queued. `run` is its thread; all other methods may be called from any.

    A telegram leaves only if its lease is valid at that moment; a telegram without one, which switches something
    off, is never dropped for a lease. `revoked` counts the telegrams that were dropped.
    """

    def __init__(self, device: str, hand_over: Callable[[T], bool], depth: int, since_s: float = -math.inf) -> None:
        """`hand_over`: gives one telegram to the port; False: it cannot take it yet.

        `since_s`: leases granted before this loop time do not count.
        """
        self._device = device
        self._hand_over = hand_over
        self._depth = depth
        self._since_s = since_s
        self._queue: deque[_Queued[T]] = deque()
        self._changed = threading.Condition()
        self._held = False
        self._closed = False
        self.revoked = 0

    def covers(self, lease: Lease) -> bool:
        """Whether the lease was granted after the port was opened again, if it ever was."""
        return lease.granted_s >= self._since_s

    def put(self, telegram: T, lease: Lease | None) -> None:
        """Queue one telegram.

        Raises:
            TxFull: the queue is full; the telegram is not in it.
        """
        with self._changed:
            if len(self._queue) >= self._depth:
                raise TxFull(
                    self._device,
                    f"{self._depth} telegrams wait to be sent and none leaves; check that the device is connected",
                )
            self._queue.append(_Queued(telegram, lease))
            self._changed.notify()

    def discard(self) -> None:
        """Forget every telegram that was not yet handed to the port."""
        with self._changed:
            self._queue.clear()

    def hold(self) -> None:
        """The port is gone: drop what rests on a lease, keep the rest until `release`."""
        with self._changed:
            self._held = True
            kept = [queued for queued in self._queue if queued.lease is None]
            self.revoked += len(self._queue) - len(kept)
            self._queue = deque(kept)

    def release(self, since_s: float) -> None:
        """The port is back. Leases granted before `since_s` do not count any more."""
        with self._changed:
            self._since_s = since_s
            self._held = False
            self._changed.notify()

    def close(self) -> None:
        """Let `run` return; what is queued stays unsent."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify()

    def run(self) -> None:
        """Send until closed."""
        while (queued := self._next()) is not None:
            lease = queued.lease
            if lease is not None and (lease.revoked or not self.covers(lease)):
                self._remove(queued, dropped=True)
            elif self._hand_over(queued.telegram):
                self._remove(queued)
            else:
                with self._changed:
                    if not self._closed:
                        self._changed.wait(RETRY_S)

    def _next(self) -> _Queued[T] | None:
        """The oldest telegram, which stays queued until it is sent; None: closed."""
        with self._changed:
            while not self._closed and (self._held or not self._queue):
                self._changed.wait()
            return None if self._closed else self._queue[0]

    def _remove(self, queued: _Queued[T], *, dropped: bool = False) -> None:
        with self._changed:
            self.revoked += dropped
            # It may have been discarded meanwhile.
            if self._queue and self._queue[0] is queued:
                self._queue.popleft()
