"""ECUs on a real bus: periodic frames, what a state change does to them, muting, tampering, hearing."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

import can
import pytest

from bmsctl.domain.links import CanFrame
from firmware_stubs.ports import Cyclic
from hil.stubs.can_end import BusEnd, CanEnd

PERIOD_S = 0.01
PATIENCE_S = 10.0


class FakeBus(can.BusABC):
    """Keeps what is sent; what `arrive` is given can be received."""

    def __init__(self) -> None:
        super().__init__(channel="fake")
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._arrived: list[can.Message] = []
        self.sent: list[can.Message] = []
        self.refuse = False
        self.dead = False

    def arrive(self, can_id: int, data: bytes = b"", *, extended: bool = False) -> None:
        self._arrived.append(can.Message(arbitration_id=can_id, data=data, is_extended_id=extended))
        self._far.send(b"x")

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        if self.refuse:
            raise can.CanOperationError("transmit buffer full")
        self.sent.append(msg)

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        if self.dead:
            raise can.CanOperationError("the hub is gone")
        if not self._arrived:
            return None, False
        self._near.recv(1)
        return self._arrived.pop(0), False

    def fileno(self) -> int:
        return self._near.fileno()

    def shutdown(self) -> None:
        super().shutdown()
        self._near.close()
        self._far.close()


@pytest.fixture
def bus() -> Iterator[FakeBus]:
    fake = FakeBus()
    yield fake
    fake.shutdown()


@contextmanager
def ecu_on(bus: FakeBus, tap: Callable[[CanFrame], None] = lambda frame: None) -> Iterator[tuple[CanEnd, BusEnd]]:
    end = BusEnd(bus, tap)
    try:
        yield CanEnd(end), end
    finally:
        end.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


def counter(can_id: int = 0x100) -> Cyclic:
    """A periodic frame that tells its number."""
    return Cyclic(can_id, PERIOD_S, lambda n, t_s: bytes((n & 0xFF,)))


def test_periodic_frames_are_numbered_without_gap_or_repetition(bus: FakeBus) -> None:
    async def test() -> None:
        with ecu_on(bus) as (ecu, end):
            ecu.start([counter()])
            await until(lambda: len(bus.sent) >= 5)
            if end.counters.skipped == 0:
                numbers = [message.data[0] for message in bus.sent]
                assert numbers == list(range(len(numbers)))

    run(test)


def test_after_a_stall_the_newest_leaves_and_the_missed_are_counted(bus: FakeBus) -> None:
    async def test() -> None:
        with ecu_on(bus) as (ecu, end):
            ecu.start([counter()])
            await until(lambda: len(bus.sent) >= 1)
            before, skipped = len(bus.sent), end.counters.skipped
            time.sleep(20 * PERIOD_S)  # noqa: ASYNC251 - the stall itself
            await asyncio.sleep(0)
            await until(lambda: len(bus.sent) > before)
            assert end.counters.skipped - skipped >= 18
            assert bus.sent[before].data[0] - bus.sent[before - 1].data[0] >= 19

    run(test)


def test_a_state_change_lets_frames_already_due_carry_the_old_state(bus: FakeBus) -> None:
    state = 1

    async def test() -> None:
        nonlocal state
        with ecu_on(bus) as (ecu, _):
            ecu.start([Cyclic(0x100, 60.0, lambda n, t_s: bytes((state,)))])
            ecu.settle([0x100, 0x7FF])
            state = 2
            ecu.settle()
            assert [bytes(message.data) for message in bus.sent] == [b"\x01"]

    run(test)


def test_stopped_frames_are_not_sent_any_more_and_start_anew_from_zero(bus: FakeBus) -> None:
    async def test() -> None:
        with ecu_on(bus) as (ecu, _):
            ecu.start([counter()])
            ecu.stop()
            assert len(bus.sent) == 1
            await asyncio.sleep(2 * PERIOD_S)
            ecu.start([Cyclic(0x200, 60.0, lambda n, t_s: bytes((n,)))])
            await until(lambda: len(bus.sent) == 2)
            assert (bus.sent[1].arbitration_id, bus.sent[1].data[0]) == (0x200, 0)

    run(test)


def test_a_muted_ecu_neither_sends_nor_hears(bus: FakeBus) -> None:
    heard: list[int] = []

    async def test() -> None:
        with ecu_on(bus) as (ecu, _):
            ecu.listen([0x10], lambda frame: heard.append(frame.data[0]))
            ecu.mute(True)
            ecu.emit(CanFrame(0x100, b"x"))
            bus.arrive(0x10, b"\x01")
            await asyncio.sleep(0)
            bus.arrive(0x10, b"\x02")
            await until(lambda: not bus._arrived)
            ecu.mute(False)
            bus.arrive(0x10, b"\x03")
            await until(lambda: bool(heard))
            assert (heard, bus.sent) == ([3], [])

    run(test)


def test_tampering_meets_emitted_periodic_and_heard_frames(bus: FakeBus) -> None:
    heard: list[bytes] = []

    async def test() -> None:
        with ecu_on(bus) as (ecu, _):
            ecu.listen([0x10], lambda frame: heard.append(frame.data))
            ecu.tamper = lambda frame: None if frame.can_id == 0x101 else frame._replace(data=b"t")
            ecu.tamper_heard = lambda frame: frame._replace(data=b"h")
            ecu.start([Cyclic(0x100, 60.0, lambda n, t_s: b"0")])
            ecu.emit(CanFrame(0x101, b"lost"))
            bus.arrive(0x10, b"?")
            await until(lambda: bool(heard) and bool(bus.sent))
            assert ([bytes(message.data) for message in bus.sent], heard) == ([b"t"], [b"h"])

    run(test)


def test_only_frames_that_an_ecu_listens_to_are_tapped_and_first(bus: FakeBus) -> None:
    order: list[str] = []

    async def test() -> None:
        with ecu_on(bus, lambda frame: order.append(f"tap {frame.can_id:X}")) as (ecu, end):
            ecu.listen([0x10], lambda frame: order.append("ecu"))
            bus.arrive(0x11)
            bus.arrive(0x10, extended=True)
            bus.arrive(0x10)
            await until(lambda: "ecu" in order)
            assert (order, end.counters.heard) == (["tap 10", "ecu"], 1)

    run(test)


def test_a_frame_that_the_bus_refuses_is_counted_as_lost(bus: FakeBus) -> None:
    async def test() -> None:
        with ecu_on(bus) as (ecu, end):
            bus.refuse = True
            ecu.emit(CanFrame(0x100, b"x"))
            assert (end.counters.lost, end.counters.sent) == (1, 0)

    run(test)


def test_a_bus_that_dies_is_read_no_more(bus: FakeBus) -> None:
    async def test() -> None:
        with ecu_on(bus) as (_, end):
            bus.arrive(0x10)
            bus.dead = True
            descriptor = bus.fileno()
            await until(lambda: not end.loop.remove_reader(descriptor))

    run(test)


def test_frames_of_before_are_not_for_this_pack(bus: FakeBus) -> None:
    heard: list[bytes] = []

    async def test() -> None:
        bus.arrive(0x10, b"old")
        with ecu_on(bus) as (ecu, _):
            ecu.listen([0x10], lambda frame: heard.append(frame.data))
            bus.arrive(0x10, b"new")
            await until(lambda: bool(heard))
            assert heard == [b"new"]

    run(test)


def test_fd_frames_are_sent_with_bit_rate_switch(bus: FakeBus) -> None:
    async def test() -> None:
        with ecu_on(bus) as (ecu, _):
            ecu.emit(CanFrame(0x100, bytes(64), fd=True))
            ecu.emit(CanFrame(0x18DA00F1, b"x", extended=True))
            fd, classic = bus.sent
            assert (fd.is_fd, fd.bitrate_switch, len(fd.data)) == (True, True, 64)
            assert (classic.is_fd, classic.is_extended_id) == (False, True)

    run(test)
