"""Wires in memory. They carry the frames and bytes of the real ones, but a periodic frame is only encoded
when somebody looks at it, and a pushed one costs a timer.

Works on any asyncio loop; on the virtual one a run is deterministic.
"""

from __future__ import annotations

import math
from asyncio import get_running_loop
from collections.abc import Callable, Iterable

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, LinkHealth, LinkState
from bmsctl.errors import LinkDown
from firmware_stubs.ports import Cyclic, Tamper

FrameSink = Callable[[CanFrame], None]

CAN_FRAME_S = 0.00025
"""An 8-byte classic frame at 500 kbit/s with its stuff bits."""

SERIAL_BYTE_S = 10 / 115_200
"""One byte, 8N1."""


class _Schedule:
    """One periodic frame on the wire: computes its newest transmission, and keeps it once silent."""

    __slots__ = ("_cached", "_cached_n", "_cyclic", "_period_s", "_start_s", "muted", "tamper")

    def __init__(self, cyclic: Cyclic, start_s: float, tamper: Tamper | None) -> None:
        self._cyclic = cyclic
        self._period_s = cyclic.period_s
        self._start_s = start_s
        self._cached_n = -1
        self._cached: CanFrame | None = None
        self.muted = False
        self.tamper = tamper

    def due(self, now_s: float) -> int:
        """Number of the newest transmission that has arrived by `now_s`; -1 before the first."""
        age_s = now_s - CAN_FRAME_S - self._start_s
        return int(age_s / self._period_s + 1e-9) if now_s >= self._start_s + CAN_FRAME_S else -1

    def newest(self, now_s: float) -> CanFrame | None:
        if self.muted:
            return self._cached
        n = int((now_s - CAN_FRAME_S - self._start_s) / self._period_s + 1e-9)
        if n > self._cached_n and now_s >= self._start_s + CAN_FRAME_S:
            cyclic = self._cyclic
            sent_s = self._start_s + n * self._period_s
            data = cyclic.encode(n, sent_s)
            frame = CanFrame(cyclic.can_id, data, sent_s + CAN_FRAME_S, cyclic.extended, cyclic.fd)
            arrived = frame if self.tamper is None else self.tamper(frame)
            if arrived is not None:
                self._cached = arrived
            self._cached_n = n
        return self._cached


class SimCanPort:
    """An ECU's side of a SimCan; implements CanPort."""

    def __init__(self, bus: SimCan, name: str) -> None:
        self._bus = bus
        self.name = name
        self._schedules: dict[int, _Schedule] = {}
        self._muted = False
        self._tamper: Tamper | None = None
        self.tamper_heard: Tamper | None = None

    @property
    def tamper(self) -> Tamper | None:
        """What becomes of a frame that this ECU sends; changed, frames already due are as they were sent."""
        return self._tamper

    @tamper.setter
    def tamper(self, tamper: Tamper | None) -> None:
        self.settle()
        self._tamper = tamper
        for schedule in self._schedules.values():
            schedule.tamper = tamper

    def emit(self, frame: CanFrame) -> None:
        if self._muted:
            return
        if self._tamper is not None:
            tampered = self._tamper(frame)
            if tampered is None:
                return
            frame = tampered
        loop, bus = get_running_loop(), self._bus
        arrival_s = bus.occupy(loop.time())
        can_id, data, _, extended, fd = frame
        loop.call_at(arrival_s, bus.station.deliver, CanFrame(can_id, data, arrival_s, extended, fd))

    def start(self, cyclics: Iterable[Cyclic]) -> None:
        now_s = get_running_loop().time()
        for cyclic in cyclics:
            schedule = _Schedule(cyclic, now_s, self._tamper)
            schedule.muted = self._muted
            self._schedules[cyclic.can_id] = self._bus.schedules[cyclic.can_id] = schedule

    def settle(self, ids: Iterable[int] | None = None) -> None:
        now_s = get_running_loop().time()
        for can_id in self._schedules if ids is None else ids:
            if can_id in self._bus.latched and can_id in self._schedules:
                self._schedules[can_id].newest(now_s)

    def stop(self) -> None:
        self.settle()
        now_s = get_running_loop().time()
        for can_id, schedule in self._schedules.items():
            if not schedule.muted:
                self._bus.carried += schedule.due(now_s) + 1
            last = schedule.newest(now_s) if can_id in self._bus.latched else None
            del self._bus.schedules[can_id]
            if last is not None:
                self._bus.last[can_id] = last
        self._schedules.clear()

    def listen(self, ids: Iterable[int], sink: FrameSink) -> None:
        for can_id in ids:
            self._bus.ecu_sinks.setdefault(can_id, []).append((self, sink))

    def mute(self, on: bool) -> None:
        """Unplug (or replug) this ECU's transmitter: nothing it sends arrives."""
        self.settle()
        self._muted = on
        for schedule in self._schedules.values():
            schedule.muted = on

    def scheduled_frames(self) -> int:
        """Periodic frames sent so far by the schedules still running."""
        now_s = get_running_loop().time()
        return sum(schedule.due(now_s) + 1 for schedule in self._schedules.values())


class _Subscription:
    """A running push; implements Subscription."""

    def __init__(self, sinks: dict[int, list[FrameSink]], ids: Iterable[int], sink: FrameSink) -> None:
        self._sinks = sinks
        self._ids = tuple(ids)
        self._sink = sink
        for can_id in self._ids:
            sinks[can_id] = [*sinks.get(can_id, ()), sink]

    def cancel(self) -> None:
        for can_id in self._ids:
            self._sinks[can_id] = [sink for sink in self._sinks[can_id] if sink is not self._sink]
        self._ids = ()


class SimCanLink:
    """The station's side of a SimCan; implements CanLink."""

    def __init__(self, bus: SimCan, device: str) -> None:
        self._bus = bus
        self._device = device
        self._sinks: dict[int, list[FrameSink]] = {}
        self._last_rx_s: float | None = None
        self._bus_off = False

    def go_bus_off(self) -> None:
        """The station's controller leaves the bus: this link sends and hears nothing more."""
        if not self._bus_off:
            self._bus.last = {can_id: frame for can_id in self._bus.latched if (frame := self.newest(can_id))}
        self._bus_off = True

    def send(self, frame: CanFrame, lease: Lease | None = None) -> None:
        if lease is not None:
            lease.check()
        if self._bus_off:
            raise LinkDown(
                self._device, "the CAN controller is bus-off; check termination and wiring, then reset the station"
            )
        if self._bus.tap is not None:
            self._bus.tap(frame)
        loop = get_running_loop()
        arrival_s = self._bus.occupy(loop.time())
        for port, sink in self._bus.ecu_sinks.get(frame.can_id, ()):
            loop.call_at(arrival_s, _arrive, port, sink, frame)

    def push(self, ids: Iterable[int], sink: FrameSink) -> _Subscription:
        return _Subscription(self._sinks, ids, sink)

    def latch(self, ids: Iterable[int]) -> None:
        self._bus.latched.update(ids)

    def newest(self, can_id: int) -> CanFrame | None:
        bus = self._bus
        if can_id not in bus.latched:
            raise KeyError(f"0x{can_id:X} is not latched")
        schedule = bus.schedules.get(can_id)
        if schedule is not None and not self._bus_off:
            frame = schedule.newest(get_running_loop().time())
            if frame is not None:
                return frame
        return bus.last.get(can_id)

    def health(self) -> LinkHealth:
        state = LinkState.BUS_OFF if self._bus_off else LinkState.UP
        return LinkHealth(state, lost=0, overflow=0, last_rx_s=self._last_rx_s)

    def deliver(self, frame: CanFrame) -> None:
        """An ECU's frame has arrived."""
        if self._bus_off:
            return
        can_id, bus = frame.can_id, self._bus
        self._last_rx_s = frame.t_s
        if can_id in bus.latched:
            bus.last[can_id] = frame
        for sink in self._sinks.get(can_id, ()):
            sink(frame)


def _arrive(port: SimCanPort, sink: FrameSink, frame: CanFrame) -> None:
    """A frame from the station has arrived at an ECU."""
    if port._muted:
        return
    heard = frame if port.tamper_heard is None else port.tamper_heard(frame)
    if heard is not None:
        sink(heard)


class SimCan:
    """One CAN bus: a station on one side, ECUs on the other."""

    def __init__(self, device: str) -> None:
        self.schedules: dict[int, _Schedule] = {}
        self.latched: set[int] = set()
        self.last: dict[int, CanFrame] = {}
        self.ecu_sinks: dict[int, list[tuple[SimCanPort, FrameSink]]] = {}
        self.tap: FrameSink | None = None
        self.carried = 0
        self._free_s = 0.0
        self.station = SimCanLink(self, device)

    def ecu(self, name: str) -> SimCanPort:
        """Connect an ECU."""
        return SimCanPort(self, name)

    def occupy(self, now_s: float) -> float:
        """Take the bus for one frame that somebody waits for; when it has arrived. Periodic frames find gaps."""
        self.carried += 1
        self._free_s = (now_s if now_s > self._free_s else self._free_s) + CAN_FRAME_S
        return self._free_s


class SimSerialPort:
    """An instrument's side of a SimSerial; implements SerialPort."""

    def __init__(self, line: SimSerial) -> None:
        self._line = line
        self._free_s = 0.0
        self.muted = False
        self.tamper: Callable[[bytes], Iterable[tuple[float, bytes]]] | None = None

    def emit(self, data: bytes, delay_s: float = 0.0) -> None:
        if self.muted:
            return
        pieces = ((0.0, data),) if self.tamper is None else self.tamper(data)
        loop = get_running_loop()
        for extra_s, piece in pieces:
            start_s = max(loop.time() + delay_s + extra_s, self._free_s)
            self._free_s = start_s + len(piece) * self._line.byte_s
            self._line.carried += len(piece)
            loop.call_at(self._free_s, self._line.station.deliver, piece)

    def listen(self, sink: Callable[[bytes], None]) -> None:
        self._line.device_sink = sink


class SimSerialLink:
    """The station's side of a SimSerial; implements SerialLink."""

    def __init__(self, line: SimSerial, device: str) -> None:
        self._line = line
        self._device = device
        self._sink: Callable[[bytes, float], None] | None = None
        self._last_rx_s: float | None = None
        self._free_s = 0.0
        self._down = False
        self._since_s = -math.inf

    @property
    def down(self) -> bool:
        """Whether the port is gone. What is plugged in again may be another device: older leases do not count on it."""
        return self._down

    @down.setter
    def down(self, on: bool) -> None:
        if self._down and not on:
            self._since_s = get_running_loop().time()
        self._down = on

    def write(self, data: bytes, lease: Lease | None = None) -> None:
        if lease is not None:
            lease.check()
        if self._down:
            raise LinkDown(self._device, "the serial port is gone; check the cable and its adapter")
        if lease is not None and lease.granted_s < self._since_s:
            text = "it was unplugged and is back; its identity must be checked again: start the run anew"
            raise LinkDown(self._device, text)
        if self._line.tap is not None:
            self._line.tap(data)
        loop = get_running_loop()
        self._free_s = max(loop.time(), self._free_s) + len(data) * self._line.byte_s
        self._line.carried += len(data)
        loop.call_at(self._free_s, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if self._line.device_sink is not None and not self._line.device.muted:
            self._line.device_sink(data)

    def attach(self, sink: Callable[[bytes, float], None]) -> None:
        self._sink = sink

    def discard_unsent(self) -> None:
        """Nothing waits here: a telegram is on the wire as soon as it is written."""

    def health(self) -> LinkHealth:
        state = LinkState.DOWN if self._down else LinkState.UP
        return LinkHealth(state, lost=0, overflow=0, last_rx_s=self._last_rx_s)

    def deliver(self, data: bytes) -> None:
        if self._down or self._sink is None:
            return
        self._last_rx_s = get_running_loop().time()
        self._sink(data, self._last_rx_s)


class SimSerial:
    """One serial line: a station on one side, an instrument on the other. `byte_s`: time of one byte."""

    def __init__(self, device: str, byte_s: float = SERIAL_BYTE_S) -> None:
        self.byte_s = byte_s
        self.carried = 0
        self.device_sink: Callable[[bytes], None] | None = None
        self.tap: Callable[[bytes], None] | None = None
        self.station = SimSerialLink(self, device)
        self.device = SimSerialPort(self)
