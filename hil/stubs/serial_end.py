"""The instruments' end of a serial line: a pseudo-terminal that a stub reads and writes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from firmware_stubs.ports import Pieces
from hil.stubs.ptys import Pty

READ_BYTES = 65_536
UNREAD_MAX_BYTES = 262_144
"""What a station that does not read may leave behind; more is lost, as in a full receiver."""


@dataclass
class SerialCounters:
    """Bytes of one line since it was opened."""

    sent: int = 0
    heard: int = 0
    lost: int = 0


class SerialEnd:
    """An instrument on its line, driven by the running loop; implements DisturbedSerial."""

    def __init__(self, pty: Pty, tap: Callable[[bytes], None], terminator: bytes | None) -> None:
        """`tap`: called with what the station sent before the instrument hears it, cut into whole telegrams if they
        end with a `terminator`."""
        self.counters = SerialCounters()
        self.muted = False
        self.tamper: Callable[[bytes], Pieces] | None = None
        self._loop = asyncio.get_running_loop()
        self._pty = pty
        self._tap = tap
        self._terminator = terminator
        self._telegram = b""
        self._sink: Callable[[bytes], None] | None = None
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._unread = bytearray()
        pty.flush()
        self._attach()

    def emit(self, data: bytes, delay_s: float = 0.0) -> None:
        if self.muted:
            return
        now_s = self._loop.time()
        for extra_s, piece in ((0.0, data),) if self.tamper is None else self.tamper(data):
            after_s = self._waiting[-1][0] if self._waiting else 0.0
            self._waiting.append((max(now_s + delay_s + extra_s, after_s), piece))
        self._release()

    def listen(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink

    def unplug(self, on: bool) -> None:
        """Take the station's port away, or bring it back as another device under the same name."""
        if on:
            self._detach()
            self._pty.unplug()
        else:
            self._pty.plug()
            self._attach()

    def close(self) -> None:
        """Neither send nor hear from now on; the port stays, or comes back. Idempotent."""
        self._detach()
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        self._sink = None
        self._pty.plug()

    def _attach(self) -> None:
        if self._pty.plugged:
            self._loop.add_reader(self._pty.master, self._drain)

    def _detach(self) -> None:
        if self._pty.plugged:
            self._loop.remove_reader(self._pty.master)
            self._loop.remove_writer(self._pty.master)
        self._unread.clear()
        self._telegram = b""

    def _drain(self) -> None:
        """Hand over everything the station has sent so far."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._pty.master, READ_BYTES):
                self.counters.heard += len(data)
                self._announce(data)
                if self._sink is not None and not self.muted:
                    self._sink(data)

    def _announce(self, data: bytes) -> None:
        if self._terminator is None:
            self._tap(data)
            return
        *whole, self._telegram = (self._telegram + data).split(self._terminator)
        self._telegram = self._telegram[-READ_BYTES:]
        for telegram in whole:
            self._tap(telegram + self._terminator)

    def _release(self) -> None:
        """Write what is due, and wake up for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_s = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now_s:
            self._write(self._waiting.popleft()[1])
        if self._waiting:
            self._timer = self._loop.call_at(self._waiting[0][0], self._release)

    def _write(self, data: bytes) -> None:
        if not self._pty.plugged or len(self._unread) + len(data) > UNREAD_MAX_BYTES:
            self.counters.lost += len(data)
            return
        self.counters.sent += len(data)
        self._unread += data
        self._push()

    def _push(self) -> None:
        """Write as much as the station's end takes now."""
        with contextlib.suppress(BlockingIOError):
            while self._unread:
                del self._unread[: os.write(self._pty.master, self._unread)]
        if self._unread:
            self._loop.add_writer(self._pty.master, self._push)
        else:
            self._loop.remove_writer(self._pty.master)
