"""A serial link over pyserial. A port that is unplugged is opened again, by the same path, when it is back.

What comes back need not be what was unplugged: no lease granted before counts on it, so its identity is checked
by the next run before anything is switched on. Telegrams without a lease switch something off and always may leave.
"""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Callable
from typing import Any

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import LinkHealth, LinkState
from bmsctl.drivers.links.handover import Handover
from bmsctl.drivers.links.serial_url import LINE_ERRORS, close_port, open_port
from bmsctl.drivers.links.threads import PortThreads, nap
from bmsctl.drivers.links.transmitter import Transmitter
from bmsctl.errors import LinkDown

WATCH_S = 0.05
"""How often the receive thread looks up while nothing comes."""

REOPEN_S = 0.2
"""How often an unplugged port is looked for."""

PIECE_BYTES = 4096
PIECES = 64
"""At most so many pieces in one batch."""

RECEIVE_DEPTH = 1024
"""Pieces that may wait for the loop."""

TRANSMIT_DEPTH = 64

_UP = (LinkState.UP, "")


class PyserialLink:
    """Implements SerialLink."""

    def __init__(self, device: str, url: str, baud: int, loop: asyncio.AbstractEventLoop) -> None:
        """Open the port. `url`: as `open_port`.

        Raises:
            LinkDown: it cannot be opened.
        """
        self._device = device
        self._url = url
        self._baud = baud
        self._now = loop.time
        self._sink: Callable[[bytes, float], None] | None = None
        self._last_rx_s: float | None = None
        self._condition = _UP
        self._closing = threading.Event()
        self._in_use = threading.Lock()
        self._handover: Handover[tuple[bytes, float]] = Handover(loop, self._deliver, RECEIVE_DEPTH)
        self._transmitter: Transmitter[bytes] = Transmitter(device, self._write, TRANSMIT_DEPTH)
        self._port: Any = open_port(device, url, baud)
        self._threads = PortThreads(
            device,
            {"receive": self._receive, "transmit": self._transmitter.run},
            on_failure=self._fail,
            close=self._close_port,
        )
        self._threads.start()

    def write(self, data: bytes, lease: Lease | None = None) -> None:
        if lease is not None:
            lease.check()
        state, text = self._state()
        if state is not LinkState.UP:
            raise LinkDown(self._device, text)
        if lease is not None and not self._transmitter.covers(lease):
            raise LinkDown(
                self._device,
                "it was unplugged and is back; its identity must be checked again: start the run anew",
            )
        self._transmitter.put(bytes(data), lease)

    def attach(self, sink: Callable[[bytes, float], None]) -> None:
        self._sink = sink

    def discard_unsent(self) -> None:
        self._transmitter.discard()

    def health(self) -> LinkHealth:
        """`overflow`: pieces dropped because the loop was late. What the port itself lost is not known: 0."""
        return LinkHealth(self._state()[0], 0, self._handover.overflow, self._last_rx_s)

    @property
    def revoked_unsent(self) -> int:
        """Telegrams that were queued, and dropped because their lease no longer counted when they could have left."""
        return self._transmitter.revoked

    def close(self) -> None:
        """End the threads and close the port. Nothing is delivered afterwards. Idempotent."""
        self._sink = None
        self._closing.set()
        self._transmitter.close()
        self._threads.join()

    def _state(self) -> tuple[LinkState, str]:
        condition = self._condition
        if condition is _UP and not self._threads.alive:
            return LinkState.DOWN, "the serial port is closed"
        return condition

    def _deliver(self, pieces: list[tuple[bytes, float]]) -> None:
        for data, t_s in pieces:
            if self._sink is not None:
                self._sink(data, t_s)

    def _receive(self) -> None:
        while not self._closing.is_set():
            try:
                self._read_while_up()
            except LINE_ERRORS as error:
                self._lose(error)
            if not self._closing.is_set():
                self._close_port()
                self._reopen()

    def _read_while_up(self) -> None:
        port, now, closing = self._port, self._now, self._closing
        ready = select.poll()
        ready.register(port.fileno(), select.POLLIN)
        while self._condition is _UP and not closing.is_set():
            if not ready.poll(WATCH_S * 1e3):
                continue
            pieces = []
            for _ in range(PIECES):
                data = port.read(PIECE_BYTES)
                if not data:
                    break
                pieces.append((data, now()))
            if pieces:
                self._last_rx_s = pieces[-1][1]
                self._handover.put(pieces)
            nap()

    def _write(self, data: bytes) -> bool:
        """Write one telegram; False: the port is gone, and what may wait for it waits."""
        with self._in_use:
            if self._port is None:
                return False
            try:
                self._port.write(data)
            except LINE_ERRORS as error:
                self._lose(error)
                return False
        return True

    def _lose(self, error: Exception) -> None:
        self._condition = (
            LinkState.DOWN,
            f"{self._url} is gone ({error}); plug it in again, then start the run anew",
        )
        self._transmitter.hold()

    def _close_port(self) -> None:
        # Under the lock: a descriptor closed during a write may already be another device's.
        with self._in_use:
            port, self._port = self._port, None
            if port is not None:
                close_port(port)

    def _reopen(self) -> None:
        """Look for the port until it is back, or the link is closed."""
        while not self._closing.wait(REOPEN_S):
            try:
                port = open_port(self._device, self._url, self._baud)
            except LinkDown as error:
                self._condition = (LinkState.DOWN, str(error).removeprefix(f"{self._device}: "))
                continue
            with self._in_use:
                self._port = port
            self._transmitter.release(since_s=self._now())
            self._condition = _UP
            return

    def _fail(self, error: Exception) -> None:
        """A thread has ended that should not."""
        self._condition = (LinkState.DOWN, f"its thread failed: {error!r}; restart bmsctl")
        self._closing.set()
        self._transmitter.close()
