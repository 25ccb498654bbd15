"""A CAN link over any bus of python-can.

Numbers above 0x7FF name 29-bit identifiers, all others 11-bit ones. A 29-bit identifier that is no larger than
0x7FF is not taken for the 11-bit one of the same number: nobody can ask for it, and it is ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, LinkHealth, LinkState
from bmsctl.drivers.links.can_port import CanBusPort
from bmsctl.drivers.links.handover import Handover
from bmsctl.drivers.links.threads import beside
from bmsctl.errors import DeviceError, LinkDown

if TYPE_CHECKING:
    import can

FrameSink = Callable[[CanFrame], None]

STANDARD_ID_MAX = 0x7FF
EXTENDED_ID_MAX = 0x1FFFFFFF
CLASSIC_BYTES_MAX = 8
FD_LENGTHS = frozenset((*range(9), 12, 16, 20, 24, 32, 48, 64))

PUSH_DEPTH = 8192
"""Pushed frames that may wait for the loop: two seconds of a full bus at 500 kbit/s."""


class _Subscription:
    """A running push; implements Subscription."""

    def __init__(self, sinks: dict[int, tuple[FrameSink, ...]], ids: Iterable[int], sink: FrameSink) -> None:
        self._sinks = sinks
        self._ids = tuple(dict.fromkeys(ids))
        self._sink = sink
        for can_id in self._ids:
            sinks[can_id] = (*sinks.get(can_id, ()), sink)

    def cancel(self) -> None:
        for can_id in self._ids:
            others = tuple(sink for sink in self._sinks.get(can_id, ()) if sink is not self._sink)
            if others:
                self._sinks[can_id] = others
            else:
                self._sinks.pop(can_id, None)
        self._ids = ()


class PythonCanLink:
    """Implements CanLink. One for each bus: the devices on it share it."""

    def __init__(
        self, device: str, bus: can.BusABC | Callable[[], can.BusABC], loop: asyncio.AbstractEventLoop
    ) -> None:
        """`device`: who is named when something is wrong, a device or the bus; `bus`: the bus, or what opens it.

        Without the latter there is no recovery. Raises what opening raises.
        """
        self._device = device
        self._now = loop.time
        self._loop = loop
        self._latched: dict[int, CanFrame | None] = {}
        self._sinks: dict[int, tuple[FrameSink, ...]] = {}
        self._handover: Handover[CanFrame] = Handover(loop, self._deliver, PUSH_DEPTH)
        self._last_rx_s: float | None = None
        self.received = 0
        """Frames received since the link was opened, whether or not anybody asked for them."""
        self._earlier_ports: list[CanBusPort] = []
        self._recovering = asyncio.Lock()
        self._closed = False
        self._open: Callable[[], can.BusABC] | None = None
        if callable(bus):
            self._open, bus = bus, bus()
        self._fd = _speaks_fd(bus)
        self._port = CanBusPort(device, bus, loop.time, self._take)

    def send(self, frame: CanFrame, lease: Lease | None = None) -> None:
        """As CanLink.

        Raises:
            DeviceError: no bus, or not this one, can carry such a frame.
        """
        if lease is not None:
            lease.check()
        port = self._port
        state, text = port.condition
        if state is not LinkState.UP:
            raise LinkDown(self._device, text)
        if lease is not None and not port.transmitter.covers(lease):
            raise LinkDown(self._device, "the CAN bus was lost since the run began; start the run anew")
        port.transmitter.put(self._message(frame), lease)

    def push(self, ids: Iterable[int], sink: FrameSink) -> _Subscription:
        return _Subscription(self._sinks, ids, sink)

    def latch(self, ids: Iterable[int]) -> None:
        for can_id in ids:
            self._latched.setdefault(can_id, None)

    def newest(self, can_id: int) -> CanFrame | None:
        return self._latched[can_id]

    def health(self) -> LinkHealth:
        """`lost`: dropped before they could be read; `overflow`: pushed frames dropped because the loop was late."""
        ports = (*self._earlier_ports, self._port)
        return LinkHealth(
            self._port.condition[0], sum(port.lost for port in ports), self._handover.overflow, self._last_rx_s
        )

    @property
    def error_frames(self) -> int:
        """Error frames received since the link was opened."""
        return sum(port.error_frames for port in (*self._earlier_ports, self._port))

    @property
    def revoked_unsent(self) -> int:
        """Frames that were queued, and dropped because their lease had been revoked before they could leave."""
        return sum(port.transmitter.revoked for port in (*self._earlier_ports, self._port))

    async def recover(self) -> None:
        """Open a lost bus again, once. Only for a station that is de-energised: nothing else may call this.

        What was queued is forgotten, and no lease granted before counts on this bus any more. A socketcan interface
        that is bus-off must have been restarted by then.

        Raises:
            LinkDown: it cannot be opened again.
        """
        async with self._recovering:
            if self._port.condition[0] is LinkState.UP:
                return
            if self._open is None or self._closed:
                raise LinkDown(self._device, "the CAN bus cannot be opened again; restart bmsctl")
            await beside(self._reopen, self._open)

    def close(self) -> None:
        """End the threads and shut the bus down. Nothing is delivered afterwards. Idempotent."""
        self._closed = True
        self._sinks.clear()
        self._port.close()

    def _reopen(self, opener: Callable[[], can.BusABC]) -> None:
        """Replace the port; runs beside the loop, for a driver may take its time."""
        if not self._port.close():
            raise LinkDown(self._device, "the CAN driver hangs; unplug the adapter and restart bmsctl")
        bus = opener()
        self._fd = _speaks_fd(bus)
        port = CanBusPort(self._device, bus, self._now, self._take, since_s=self._now())
        self._earlier_ports.append(self._port)
        self._port = port
        if self._closed:
            port.close()

    def _take(self, frames: list[CanFrame]) -> None:
        """Sort frames just received; runs in the receive thread."""
        latched, sinks = self._latched, self._sinks
        pushed = []
        for frame in frames:
            can_id = frame[0]
            if frame[3] is not (can_id > STANDARD_ID_MAX):
                continue
            if can_id in latched:
                latched[can_id] = frame
            if can_id in sinks:
                pushed.append(frame)
        self._last_rx_s = frames[-1].t_s
        self.received += len(frames)
        if pushed:
            self._handover.put(pushed)

    def _deliver(self, frames: list[CanFrame]) -> None:
        sinks = self._sinks
        for frame in frames:
            for sink in sinks.get(frame.can_id, ()):
                try:
                    sink(frame)
                except Exception as error:
                    self._loop.call_exception_handler(
                        {"message": f"{self._device}: the receiver of 0x{frame.can_id:X} failed", "exception": error}
                    )

    def _message(self, frame: CanFrame) -> can.Message:
        """The frame as python-can sends it."""
        import can

        can_id, data, _, extended, fd = frame
        if not 0 <= can_id <= (EXTENDED_ID_MAX if extended else STANDARD_ID_MAX):
            raise DeviceError(self._device, f"0x{can_id:X} is no {29 if extended else 11}-bit identifier")
        if fd and not self._fd:
            raise DeviceError(
                self._device, "this bus is opened for classic CAN and sends no CAN FD frame; add fd=true to its URL"
            )
        if not (len(data) in FD_LENGTHS if fd else len(data) <= CLASSIC_BYTES_MAX):
            kind = "CAN FD" if fd else "classic CAN"
            raise DeviceError(self._device, f"a {kind} frame cannot carry {len(data)} bytes (0x{can_id:X})")
        return can.Message(
            arbitration_id=can_id, data=data, is_extended_id=extended, is_fd=fd, bitrate_switch=fd, is_rx=False
        )


def _speaks_fd(bus: can.BusABC) -> bool:
    import can

    return bus.protocol in (can.CanProtocol.CAN_FD, can.CanProtocol.CAN_FD_NON_ISO)
