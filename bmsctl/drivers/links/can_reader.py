"""Frames out of a python-can bus: any bus message by message, socketcan straight from its socket.

Reading the socket costs a fraction of building python-can's messages, and the kernel tells how many frames it
dropped, which python-can does not ask.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from bmsctl.domain.links import CanFrame

if TYPE_CHECKING:
    import can

BATCH = 256
"""At most so many frames at once, so that a flood cannot keep the thread from anything else."""

BUS_OFF = 0x40
"""Error class in an error frame's identifier. Source: linux/can/error.h, CAN_ERR_BUSOFF."""

CAN_MTU = 16
CANFD_MTU = 72
_EXTENDED, _REMOTE, _ERROR = 0x80000000, 0x40000000, 0x20000000
_EXTENDED_ID, _STANDARD_ID = 0x1FFFFFFF, 0x7FF
_HEADER = struct.Struct("=IB3x")

_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")
_DROPS = 8
"""Index in SO_MEMINFO: packets dropped since the socket was opened. Source: linux/sock_diag.h, SK_MEMINFO_DROPS."""

RECEIVE_BUFFER_BYTES = 8 << 20
"""Some seconds of a full bus; the kernel charges several hundred bytes a frame."""


class FrameReader(Protocol):
    """Reads one bus, in one thread. Error frames are counted and never returned."""

    errors: int
    """Error frames so far."""

    bus_off: bool
    """An error frame has reported that the controller left the bus."""

    lost: int
    """Frames the driver, the kernel or the hub dropped because they were not read in time."""

    def read(self, timeout_s: float) -> list[CanFrame]:
        """Frames received, at most BATCH; waits at most `timeout_s` for the first, and for no other.

        `t_s` is the loop time at which they were read.

        Raises:
            can.CanError, OSError: the bus is gone.
        """
        ...


def reader_of(bus: can.BusABC, now: Callable[[], float]) -> FrameReader:
    """The reader for this bus. `now`: loop time."""
    from can.interfaces.socketcan import SocketcanBus

    return SocketReader(bus.socket, now) if isinstance(bus, SocketcanBus) else MessageReader(bus, now)


class MessageReader:
    """Implements FrameReader for any bus of python-can that has no filters of its own: they are not applied."""

    def __init__(self, bus: can.BusABC, now: Callable[[], float]) -> None:
        self._bus = bus
        self._now = now
        self.errors = 0
        self.bus_off = False
        self.lost = 0

    def read(self, timeout_s: float) -> list[CanFrame]:
        frames: list[CanFrame] = []
        # What every adapter implements: `recv` around it waits by the wall clock, and offers each frame to a log.
        recv, now = self._bus._recv_internal, self._now
        for already in range(BATCH):
            message, _ = recv(0.0 if already else timeout_s)
            if message is None:
                break
            if message.is_error_frame:
                self.errors += 1
                self.bus_off |= bool(message.arbitration_id & BUS_OFF)
            elif message.is_rx and not message.is_remote_frame:
                frames.append(
                    CanFrame(message.arbitration_id, bytes(message.data), now(), message.is_extended_id, message.is_fd)
                )
        # Only the bench's bus counts what was dropped on the way to it.
        self.lost = getattr(self._bus, "lost", 0)
        return frames


class SocketReader:
    """Implements FrameReader for socketcan. After this, `recv` of the bus is no longer usable."""

    def __init__(self, raw: socket.socket, now: Callable[[], float]) -> None:
        self._socket = raw
        self._now = now
        self.errors = 0
        self.bus_off = False
        self.lost = 0
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        # Beyond the system's maximum, where the process may (CAP_NET_ADMIN).
        with suppress(PermissionError):
            raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        self._ready = select.poll()
        self._ready.register(raw, select.POLLIN)

    def read(self, timeout_s: float) -> list[CanFrame]:
        frames: list[CanFrame] = []
        if self._ready.poll(timeout_s * 1e3):
            recv, now = self._socket.recv, self._now
            with suppress(BlockingIOError):
                for _ in range(BATCH):
                    packet = recv(CANFD_MTU, socket.MSG_DONTWAIT)
                    frame = self._frame(packet, now())
                    if frame is not None:
                        frames.append(frame)
        counters = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        self.lost = _MEMINFO.unpack(counters)[_DROPS]
        return frames

    def _frame(self, packet: bytes, t_s: float) -> CanFrame | None:
        """A `struct can_frame` or `canfd_frame` as a frame; None if it is an error or remote frame."""
        word, length = _HEADER.unpack_from(packet)
        data = packet[_HEADER.size : _HEADER.size + length]
        fd = len(packet) == CANFD_MTU
        if word < _ERROR:
            return CanFrame(word & _STANDARD_ID, data, t_s, False, fd)
        if word & _ERROR:
            self.errors += 1
            self.bus_off |= bool(word & BUS_OFF)
        elif not word & _REMOTE:
            return CanFrame(word & _EXTENDED_ID, data, t_s, True, fd)
        return None
