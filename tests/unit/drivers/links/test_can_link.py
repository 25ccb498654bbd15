"""The CAN link: over python-can's virtual bus, and on buses that fail as adapters do."""

from __future__ import annotations

import asyncio
import errno
import queue
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import can
import pytest

from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.links import CanFrame, LinkState
from bmsctl.drivers.links import can_link as module
from bmsctl.drivers.links.can_link import PythonCanLink
from bmsctl.drivers.links.can_port import TRANSMIT_DEPTH
from bmsctl.drivers.links.can_url import open_bus
from bmsctl.errors import DeviceError, LeaseRevoked, LinkDown, TxFull
from tests.unit.drivers.links.waiting import run, until


class FakeBus(can.BusABC):
    """An adapter under the test's control. `inbox`: what `recv` gives, an exception is raised; `sent`: what left."""

    def __init__(self, fd: bool = False) -> None:
        self.inbox: queue.Queue[can.Message | Exception] = queue.Queue()
        self.sent: list[can.Message] = []
        self.on_send: Callable[[can.Message], None] = self.sent.append
        self.controller = can.BusState.ACTIVE
        self.shut = False
        self._can_protocol = can.CanProtocol.CAN_FD if fd else can.CanProtocol.CAN_20
        super().__init__(channel="fake")

    @property
    def state(self) -> can.BusState:
        return self.controller

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        try:
            got = self.inbox.get(timeout=timeout) if timeout else self.inbox.get_nowait()
        except queue.Empty:
            return None, True
        if isinstance(got, Exception):
            raise got
        return got, True

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        self.on_send(msg)

    def shutdown(self) -> None:
        super().shutdown()
        self.shut = True


def message(can_id: int, data: bytes = b"", **options: Any) -> can.Message:
    return can.Message(**{"arbitration_id": can_id, "data": data, "is_extended_id": can_id > 0x7FF, **options})


@asynccontextmanager
async def linked(bus: can.BusABC | Callable[[], can.BusABC]) -> AsyncIterator[PythonCanLink]:
    link = PythonCanLink("bms", bus, asyncio.get_running_loop())
    try:
        yield link
    finally:
        link.close()


@asynccontextmanager
async def pair(options: str = "") -> AsyncIterator[tuple[PythonCanLink, can.BusABC]]:
    """A link, and the bus of somebody else on the same channel."""
    with open_bus(f"virtual://test{options}") as other:
        async with linked(lambda: open_bus(f"virtual://test{options}")) as link:
            yield link, other


def lease() -> tuple[Lease, LeaseBook]:
    book = LeaseBook(asyncio.get_running_loop().time)
    return book.grant("bms", 1.0), book


async def received(bus: can.BusABC) -> can.Message:
    got: list[can.Message] = []
    await until(lambda: got.append(found) or True if (found := bus.recv(0.0)) else False)  # type: ignore[func-returns-value]
    return got[0]


class TestReceiving:
    def test_pushed_frames_arrive_on_the_loop_in_order_stamped_in_loop_time(self) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            async with pair() as (link, other):
                frames: list[CanFrame] = []
                threads: set[threading.Thread] = set()
                link.push([0x100], frames.append)
                link.push([0x100], lambda frame: threads.add(threading.current_thread()))
                before_s = loop.time()
                for number in range(500):
                    other.send(message(0x100, number.to_bytes(2)))
                    other.send(message(0x101, b"nobody's"))
                await until(lambda: len(frames) == 500)
                assert [int.from_bytes(frame.data) for frame in frames] == list(range(500))
                stamps = [frame.t_s for frame in frames]
                assert stamps == sorted(stamps)
                assert before_s <= stamps[0] <= stamps[-1] <= loop.time()
                assert threads == {threading.main_thread()}
                assert link.health().last_rx_s >= stamps[-1]  # type: ignore[operator]

        run(main)

    def test_a_cancelled_push_delivers_nothing_more_and_leaves_the_others(self) -> None:
        async def main() -> None:
            async with pair() as (link, other):
                one: list[CanFrame] = []
                two: list[CanFrame] = []
                first = link.push([0x100, 0x101], one.append)
                link.push([0x100], two.append)
                first.cancel()
                first.cancel()
                other.send(message(0x101))
                other.send(message(0x100))
                await until(lambda: two)
                assert one == []

        run(main)

    def test_a_latched_id_keeps_the_newest_frame_and_never_wakes_the_loop(self) -> None:
        async def main() -> None:
            bus = FakeBus()
            loop = asyncio.get_running_loop()
            async with linked(bus) as link:
                link.latch([0x100])
                assert link.newest(0x100) is None
                woken = []
                loop.call_soon_threadsafe = lambda *arguments, **options: woken.append(arguments)  # type: ignore[assignment, method-assign, misc]
                for number in range(100):
                    bus.inbox.put(message(0x100, bytes((number,))))
                await until(lambda: (newest := link.newest(0x100)) is not None and newest.data == b"\x63")
                assert link.newest(0x100) is link.newest(0x100)
                assert woken == []
                with pytest.raises(KeyError):
                    link.newest(0x101)

        run(main)

    def test_a_29_bit_identifier_is_not_taken_for_the_11_bit_one_of_the_same_number(self) -> None:
        async def main() -> None:
            async with pair() as (link, other):
                frames: list[CanFrame] = []
                link.push([0x123, 0x18DA0123], frames.append)
                link.latch([0x123])
                other.send(message(0x123, b"other", is_extended_id=True))
                other.send(message(0x18DA0123, b"long"))
                other.send(message(0x123, b"short"))
                await until(lambda: len(frames) == 2)
                assert [(frame.data, frame.extended) for frame in frames] == [(b"long", True), (b"short", False)]
                assert link.newest(0x123) is frames[1]

        run(main)

    def test_fd_error_remote_and_own_frames(self) -> None:
        async def main() -> None:
            bus = FakeBus(fd=True)
            async with linked(bus) as link:
                frames: list[CanFrame] = []
                link.push([0x100], frames.append)
                bus.inbox.put(message(0x100, is_error_frame=True))
                bus.inbox.put(message(0x100, is_remote_frame=True))
                bus.inbox.put(message(0x100, is_rx=False))
                bus.inbox.put(message(0x100, bytes(64), is_fd=True))
                await until(lambda: frames)
                assert [frame._replace(t_s=0.0) for frame in frames] == [CanFrame(0x100, bytes(64), fd=True)]
                assert link.error_frames == 1
                assert link.health().state is LinkState.UP

        run(main)

    def test_what_the_loop_does_not_take_in_time_is_dropped_oldest_first_and_counted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PUSH_DEPTH", 10)

        async def main() -> None:
            bus = FakeBus()
            async with linked(bus) as link:
                frames: list[CanFrame] = []
                link.push([0x100], frames.append)
                for number in range(25):
                    bus.inbox.put(message(0x100, bytes((number,))))
                deadline = threading.Event()
                # The loop is held up until the receive thread has read everything.
                while link.health().overflow < 15:
                    assert not deadline.wait(0.001)
                await until(lambda: frames)
                assert [frame.data[0] for frame in frames] == list(range(15, 25))
                assert link.health().overflow == 15

        run(main)

    def test_a_sink_that_raises_is_reported_and_stops_no_other(self) -> None:
        async def main() -> None:
            reported: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
            async with pair() as (link, other):
                frames: list[CanFrame] = []

                def fail(frame: CanFrame) -> None:
                    raise ValueError("sink")

                link.push([0x100], fail)
                link.push([0x100], frames.append)
                other.send(message(0x100))
                await until(lambda: frames)
            assert [type(context["exception"]) for context in reported] == [ValueError]

        run(main)

    def test_frames_the_bus_reports_as_dropped_are_lost(self) -> None:
        async def main() -> None:
            bus = FakeBus()
            bus.lost = 7  # type: ignore[attr-defined]
            async with linked(bus) as link:
                await until(lambda: link.health().lost == 7)

        run(main)


class TestSending:
    def test_frames_leave_in_order_and_do_not_come_back(self) -> None:
        async def main() -> None:
            async with pair("?fd=true") as (link, other):
                mine: list[CanFrame] = []
                link.push([0x100, 0x18DA0100], mine.append)
                link.send(CanFrame(0x100, b"12345678"))
                link.send(CanFrame(0x18DA0100, b"long", extended=True))
                link.send(CanFrame(0x100, bytes(64), fd=True))
                first, second, third = [await received(other) for _ in range(3)]
                assert (first.arbitration_id, bytes(first.data), first.is_extended_id) == (0x100, b"12345678", False)
                assert (second.arbitration_id, second.is_extended_id, second.is_fd) == (0x18DA0100, True, False)
                assert (third.is_fd, third.bitrate_switch, len(third.data)) == (True, True, 64)
                assert mine == []

        run(main)

    @pytest.mark.parametrize(
        ("frame", "told"),
        [
            (CanFrame(0x100, bytes(8), fd=True), "add fd=true to its URL"),
            (CanFrame(0x100, bytes(9)), "classic CAN frame cannot carry 9 bytes"),
            (CanFrame(0x800, b""), "no 11-bit identifier"),
            (CanFrame(0x2000_0000, b"", extended=True), "no 29-bit identifier"),
            (CanFrame(-1, b""), "no 11-bit identifier"),
        ],
    )
    def test_a_classic_bus_refuses_what_it_cannot_carry_before_it_is_queued(self, frame: CanFrame, told: str) -> None:
        async def main() -> None:
            async with pair() as (link, other):
                with pytest.raises(DeviceError, match=told):
                    link.send(frame)
                link.send(CanFrame(0x101, b"next"))
                assert (await received(other)).arbitration_id == 0x101

        run(main)

    @pytest.mark.parametrize("size", [9, 63, 65])
    def test_an_fd_frame_has_a_length_of_can_fd(self, size: int) -> None:
        async def main() -> None:
            async with pair("?fd=true") as (link, _):
                with pytest.raises(DeviceError, match=f"CAN FD frame cannot carry {size} bytes"):
                    link.send(CanFrame(0x100, bytes(size), fd=True))

        run(main)

    def test_a_revoked_lease_is_refused_at_once(self) -> None:
        async def main() -> None:
            async with pair() as (link, _):
                held, book = lease()
                book.revoke_all()
                with pytest.raises(LeaseRevoked):
                    link.send(CanFrame(0x100, b""), held)

        run(main)

    def test_after_revoke_only_the_frame_inside_the_driver_leaves_and_then_off(self) -> None:
        async def main() -> None:
            bus = FakeBus()
            inside, let_go = threading.Event(), threading.Event()

            def stuck(frame: can.Message) -> None:
                inside.set()
                let_go.wait()
                bus.sent.append(frame)

            bus.on_send = stuck
            async with linked(bus) as link:
                held, book = lease()
                for _ in range(5):
                    link.send(CanFrame(0x100, b"on"), held)
                await until(inside.is_set)
                book.revoke_all()
                link.send(CanFrame(0x100, b"off"))
                let_go.set()
                await until(lambda: len(bus.sent) == 2)
                assert [bytes(frame.data) for frame in bus.sent] == [b"on", b"off"]
                assert link.revoked_unsent == 4

        run(main)

    def test_a_driver_stuck_in_c_neither_holds_up_close_nor_lets_a_frame_out_after_it(self) -> None:
        async def main() -> None:
            bus = FakeBus()
            inside, let_go = threading.Event(), threading.Event()

            def stuck(frame: can.Message) -> None:
                inside.set()
                let_go.wait()
                bus.sent.append(frame)

            bus.on_send = stuck
            async with linked(bus) as link:
                link.send(CanFrame(0x100, b"in C"))
                link.send(CanFrame(0x100, b"queued"))
                await until(inside.is_set)
                link.close()
                assert not bus.shut, "a bus must not be closed while a thread is in it"
                with pytest.raises(LinkDown):
                    link.send(CanFrame(0x100, b"late"))
                let_go.set()
                await until(lambda: bus.shut)
                await until(lambda: not link._port._threads.alive)
                assert [bytes(frame.data) for frame in bus.sent] == [b"in C"]

        run(main)

    @pytest.mark.parametrize("error", [can.CanOperationError("full", errno.ENOBUFS), can.CanTimeoutError("full")])
    def test_a_full_driver_is_tried_again_until_the_lease_is_revoked(self, error: Exception) -> None:
        async def main() -> None:
            bus = FakeBus()
            tries: list[can.Message] = []

            def full(frame: can.Message) -> None:
                tries.append(frame)
                raise error

            bus.on_send = full
            async with linked(bus) as link:
                held, book = lease()
                link.send(CanFrame(0x100, b"on"), held)
                link.send(CanFrame(0x100, b"off"))
                await until(lambda: len(tries) > 3)
                assert {bytes(frame.data) for frame in tries} == {b"on"}
                assert link.health().state is LinkState.UP
                book.revoke_all()
                await until(lambda: tries[-1].data == b"off")
                bus.on_send = bus.sent.append
                await until(lambda: bus.sent)
                assert bytes(bus.sent[0].data) == b"off"

        run(main)

    def test_a_full_queue_is_said_at_once_and_loses_nothing(self) -> None:
        async def main() -> None:
            bus = FakeBus()
            let_go = threading.Event()

            def stuck(frame: can.Message) -> None:
                let_go.wait()
                bus.sent.append(frame)

            bus.on_send = stuck
            async with linked(bus) as link:
                for number in range(TRANSMIT_DEPTH):
                    link.send(CanFrame(0x100, number.to_bytes(2)))
                with pytest.raises(TxFull, match="256 telegrams wait"):
                    link.send(CanFrame(0x100, b"too much"))
                let_go.set()
                await until(lambda: len(bus.sent) == TRANSMIT_DEPTH)
                assert [int.from_bytes(frame.data) for frame in bus.sent] == list(range(TRANSMIT_DEPTH))

        run(main)


def bus_off_by_error_frame(bus: FakeBus) -> None:
    bus.inbox.put(message(0x40, bytes(8), is_error_frame=True, is_extended_id=False))


def bus_off_by_state(bus: FakeBus) -> None:
    bus.controller = can.BusState.ERROR


def bus_off_by_recv(bus: FakeBus) -> None:
    bus.controller = can.BusState.ERROR
    bus.inbox.put(can.CanOperationError("bus-off"))


def gone(bus: FakeBus) -> None:
    bus.inbox.put(can.CanOperationError("Error receiving: Network is down", errno.ENETDOWN))


def broken(bus: FakeBus) -> None:
    bus.inbox.put(ZeroDivisionError("a driver may raise anything"))


class TestTrouble:
    @pytest.mark.parametrize(
        ("happens", "state", "told"),
        [
            (bus_off_by_error_frame, LinkState.BUS_OFF, "bus-off.*termination"),
            (bus_off_by_state, LinkState.BUS_OFF, "bus-off.*termination"),
            (bus_off_by_recv, LinkState.BUS_OFF, "bus-off.*termination"),
            (gone, LinkState.DOWN, "Network is down.*check the adapter"),
            (broken, LinkState.DOWN, "a driver may raise anything"),
        ],
    )
    def test_is_in_health_and_ends_sending_and_the_bus(
        self, happens: Callable[[FakeBus], None], state: LinkState, told: str
    ) -> None:
        async def main() -> None:
            bus = FakeBus()
            async with linked(bus) as link:
                frames: list[CanFrame] = []
                link.push([0x100], frames.append)
                happens(bus)
                await until(lambda: link.health().state is state)
                with pytest.raises(LinkDown, match=told):
                    link.send(CanFrame(0x100, b"late"))
                await until(lambda: bus.shut)
                bus.inbox.put(message(0x100))
                assert link.health().state is state
                assert frames == []
                assert bus.sent == []

        run(main)

    @pytest.mark.parametrize(
        "error", [can.CanOperationError("Failed to transmit", errno.ENODEV), OSError("unplugged"), ValueError("odd")]
    )
    def test_of_sending_ends_the_link_and_what_was_queued_is_not_sent_later(self, error: Exception) -> None:
        async def main() -> None:
            first, second = FakeBus(), FakeBus()
            buses = iter([first, second])

            def fail(frame: can.Message) -> None:
                raise error

            first.on_send = fail
            async with linked(lambda: next(buses)) as link:
                link.send(CanFrame(0x100, b"1"))
                await until(lambda: link.health().state is LinkState.DOWN)
                await link.recover()
                link.send(CanFrame(0x100, b"2"))
                await until(lambda: second.sent)
                assert [bytes(frame.data) for frame in second.sent] == [b"2"]

        run(main)


class TestRecovery:
    def test_opens_the_bus_again_for_leases_granted_afterwards(self) -> None:
        async def main() -> None:
            first, second = FakeBus(), FakeBus()
            buses = iter([first, second])
            first.lost = 3  # type: ignore[attr-defined]
            async with linked(lambda: next(buses)) as link:
                frames: list[CanFrame] = []
                link.push([0x100], frames.append)
                held, book = lease()
                bus_off_by_error_frame(first)
                await until(lambda: link.health().state is LinkState.BUS_OFF)
                await link.recover()
                assert first.shut
                assert link.health().state is LinkState.UP
                assert (link.health().lost, link.error_frames) == (3, 1)
                with pytest.raises(LinkDown, match="start the run anew"):
                    link.send(CanFrame(0x100, b"on"), held)
                book.release(held)
                link.send(CanFrame(0x100, b"on"), book.grant("bms", 1.0))
                await until(lambda: second.sent)
                second.inbox.put(message(0x100, b"back"))
                await until(lambda: frames)

        run(main)

    def test_of_a_bus_that_is_up_does_nothing(self) -> None:
        async def main() -> None:
            bus = FakeBus()
            async with linked(lambda: bus) as link:
                await link.recover()
                assert not bus.shut

        run(main)

    def test_is_never_made_by_itself(self) -> None:
        async def main() -> None:
            opened: list[FakeBus] = []

            def opener() -> FakeBus:
                opened.append(FakeBus())
                return opened[-1]

            async with linked(opener) as link:
                bus_off_by_state(opened[0])
                await until(lambda: opened[0].shut)
                opened[0].controller = can.BusState.ACTIVE
                await asyncio.sleep(0.1)
                assert link.health().state is LinkState.BUS_OFF
                assert len(opened) == 1

        run(main)

    def test_that_fails_leaves_the_link_as_it_was(self) -> None:
        async def main() -> None:
            bus = FakeBus()
            answers: list[Callable[[], FakeBus]] = [lambda: bus]

            def opener() -> FakeBus:
                if not answers:
                    raise LinkDown("bms", "still bus-off")
                return answers.pop()()

            async with linked(opener) as link:
                bus_off_by_state(bus)
                await until(lambda: bus.shut)
                with pytest.raises(LinkDown, match="still bus-off"):
                    await link.recover()
                assert link.health().state is LinkState.BUS_OFF

        run(main)

    def test_needs_something_that_opens_the_bus(self) -> None:
        async def main() -> None:
            bus = FakeBus()
            async with linked(bus) as link:
                bus_off_by_state(bus)
                await until(lambda: bus.shut)
                with pytest.raises(LinkDown, match="restart bmsctl"):
                    await link.recover()

        run(main)


def test_a_closed_link_is_down_and_delivers_nothing() -> None:
    async def main() -> None:
        bus = FakeBus()
        async with linked(bus) as link:
            frames: list[CanFrame] = []
            link.push([0x100], frames.append)
            bus.inbox.put(message(0x100))
            await until(lambda: link.health().last_rx_s is not None)
            link.close()
            link.close()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert bus.shut
            assert frames in ([], frames[:1])
            heard = len(frames)
            bus.inbox.put(message(0x100))
            assert link.health().state is LinkState.DOWN
            assert len(frames) == heard

    run(main)


def test_an_opener_that_fails_leaves_no_thread() -> None:
    async def main() -> None:
        with pytest.raises(LinkDown):
            PythonCanLink("bms", lambda: open_bus("nosuch://x"), asyncio.get_running_loop())

    run(main)
