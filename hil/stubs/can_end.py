"""The devices' end of a real CAN bus: ECUs that send on time and hear the station.

One timer for each bus serves all periodic frames. A frame that is overdue by more than its period is not made up
for: after a stall the newest transmission goes out, and those that were missed are counted.

Everything runs on the loop. A loop looks at its file descriptors before its timers, so what the station sent is
heard before a stub's overdue timer judges that nothing came.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import can

from bmsctl.domain.links import CanFrame
from firmware_stubs.ports import Cyclic, Tamper

FrameSink = Callable[[CanFrame], None]

ID_MAX_11_BIT = 0x7FF
EARLY_S = 0.0005
"""A timer of the loop is as coarse as this: a frame due so soon leaves with the others."""
SEND_WITHIN_S = 0.01
"""How long a full transmit buffer may hold up the loop."""


@dataclass
class CanCounters:
    """Frames of one bus since it was opened; `skipped`: never sent, because the loop came too late for them."""

    sent: int = 0
    heard: int = 0
    lost: int = 0
    skipped: int = 0


class _Schedule:
    """One periodic frame of one ECU, and its next transmission."""

    __slots__ = ("cyclic", "due_s", "n", "start_s", "stopped")

    def __init__(self, cyclic: Cyclic, start_s: float) -> None:
        self.cyclic = cyclic
        self.start_s = self.due_s = start_s
        self.n = 0
        self.stopped = False

    def advance(self, now_s: float) -> tuple[int, int]:
        """The newest transmission due by now, and how many before it were missed; the one after it is next."""
        period_s = self.cyclic.period_s
        newest = max(self.n, int((now_s - self.start_s) / period_s + 1e-9))
        missed = newest - self.n
        self.n = newest + 1
        self.due_s = self.start_s + self.n * period_s
        return newest, missed


class CanEnd:
    """An ECU on a bus; implements DisturbedCan."""

    def __init__(self, bus: BusEnd) -> None:
        self._bus = bus
        self._schedules: dict[int, _Schedule] = {}
        self._tamper: Tamper | None = None
        self.tamper_heard: Tamper | None = None
        self.muted = False

    @property
    def tamper(self) -> Tamper | None:
        """What becomes of a frame that this ECU sends; changed, frames already due are sent as they were."""
        return self._tamper

    @tamper.setter
    def tamper(self, tamper: Tamper | None) -> None:
        self.settle()
        self._tamper = tamper

    def emit(self, frame: CanFrame) -> None:
        if self.muted:
            return
        if self._tamper is not None:
            tampered = self._tamper(frame)
            if tampered is None:
                return
            frame = tampered
        self._bus.send(frame)

    def start(self, cyclics: Iterable[Cyclic]) -> None:
        now_s = self._bus.loop.time()
        for cyclic in cyclics:
            if cyclic.can_id in self._schedules:
                self._schedules[cyclic.can_id].stopped = True
            schedule = self._schedules[cyclic.can_id] = _Schedule(cyclic, now_s)
            self._bus.plan(self, schedule)

    def settle(self, ids: Iterable[int] | None = None) -> None:
        now_s = self._bus.loop.time()
        for can_id in self._schedules if ids is None else ids:
            schedule = self._schedules.get(can_id)
            if schedule is not None and schedule.due_s <= now_s:
                self.transmit(schedule, now_s)
                self._bus.plan(self, schedule)

    def stop(self) -> None:
        self.settle()
        for schedule in self._schedules.values():
            schedule.stopped = True
        self._schedules.clear()

    def listen(self, ids: Iterable[int], sink: FrameSink) -> None:
        self._bus.listen(self, ids, sink)

    def mute(self, on: bool) -> None:
        self.settle()
        self.muted = on

    def hear(self, frame: CanFrame, sink: FrameSink) -> None:
        """A frame from the station has arrived."""
        if self.muted:
            return
        heard = frame if self.tamper_heard is None else self.tamper_heard(frame)
        if heard is not None:
            sink(heard)

    def transmit(self, schedule: _Schedule, now_s: float) -> None:
        """Send the newest due transmission of a periodic frame."""
        n, missed = schedule.advance(now_s)
        self._bus.counters.skipped += missed
        if not self.muted:
            cyclic = schedule.cyclic
            data = cyclic.encode(n, schedule.start_s + n * cyclic.period_s)
            self.emit(CanFrame(cyclic.can_id, data, extended=cyclic.extended, fd=cyclic.fd))


class BusEnd:
    """One bus with its ECUs, driven by the running loop; needs a bus with a file descriptor."""

    def __init__(self, bus: can.BusABC, tap: FrameSink) -> None:
        """`tap`: called with every frame that one of the ECUs listens to, before it does."""
        self.loop = asyncio.get_running_loop()
        self.counters = CanCounters()
        self._bus = bus
        self._tap = tap
        self._sinks: dict[int, list[tuple[CanEnd, FrameSink]]] = {}
        self._planned: list[tuple[float, int, CanEnd, _Schedule]] = []
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = None
        self._descriptor = bus.fileno()
        self._forget_stale()
        self.loop.add_reader(self._descriptor, self._drain)

    def close(self) -> None:
        """Neither send nor hear from now on; the bus itself stays open. Idempotent."""
        self.loop.remove_reader(self._descriptor)
        if self._timer is not None:
            self._timer.cancel()
        self._planned.clear()
        self._sinks.clear()

    def listen(self, ecu: CanEnd, ids: Iterable[int], sink: FrameSink) -> None:
        """Call `sink` for frames with these ids while the ECU is not muted."""
        for can_id in ids:
            self._sinks.setdefault(can_id, []).append((ecu, sink))

    def send(self, frame: CanFrame) -> None:
        """Send a frame now; one that the bus does not take is lost, as in a controller's overwritten buffer."""
        message = can.Message(
            arbitration_id=frame.can_id,
            is_extended_id=frame.extended,
            data=frame.data,
            is_fd=frame.fd,
            bitrate_switch=frame.fd,
            check=False,
        )
        try:
            self._bus.send(message, timeout=SEND_WITHIN_S)
        except (can.CanError, OSError):
            self.counters.lost += 1
        else:
            self.counters.sent += 1

    def plan(self, ecu: CanEnd, schedule: _Schedule) -> None:
        """Wake up for the next transmission of a periodic frame."""
        self._sequence += 1
        heapq.heappush(self._planned, (schedule.due_s, self._sequence, ecu, schedule))
        if self._planned[0][3] is schedule:
            self._wake_at(schedule.due_s)

    def _wake_at(self, when_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(when_s, self._turn)

    def _turn(self) -> None:
        """Send everything that is due, each frame for the time it leaves at, and set the timer for the rest."""
        planned = self._planned
        while planned and planned[0][0] <= (now_s := self.loop.time() + EARLY_S):
            due_s, _, ecu, schedule = heapq.heappop(planned)
            if schedule.stopped or schedule.due_s != due_s:
                continue
            ecu.transmit(schedule, now_s)
            self._sequence += 1
            heapq.heappush(planned, (schedule.due_s, self._sequence, ecu, schedule))
        if planned:
            self._wake_at(planned[0][0])

    def _drain(self) -> None:
        """Hand over everything the station has sent so far."""
        try:
            while (message := self._bus.recv(0.0)) is not None:
                self._take(message)
        except (can.CanError, OSError):
            self.loop.remove_reader(self._descriptor)

    def _take(self, message: can.Message) -> None:
        can_id = message.arbitration_id
        sinks = self._sinks.get(can_id)
        if sinks is None or message.is_error_frame or message.is_extended_id is not (can_id > ID_MAX_11_BIT):
            return
        self.counters.heard += 1
        frame = CanFrame(can_id, bytes(message.data), self.loop.time(), message.is_extended_id, message.is_fd)
        self._tap(frame)
        for ecu, sink in sinks:
            ecu.hear(frame, sink)

    def _forget_stale(self) -> None:
        """Frames that waited since before this pack came are not for it."""
        while self._bus.recv(0.0) is not None:
            pass
