"""The wires in memory: what a real bus would show, and no more."""

from __future__ import annotations

import asyncio

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import CanFrame, LinkState
from bmsctl.errors import LeaseRevoked, LinkDown
from firmware_stubs.ports import Cyclic
from firmware_stubs.sim.loop import run
from firmware_stubs.sim.wire import CAN_FRAME_S, SimCan, SimSerial
from firmware_stubs.sim.wires import SimWires


def counted(encoded: list[int], can_id: int = 0x100, period_s: float = 0.1) -> Cyclic:
    def encode(n: int, t_s: float) -> bytes:
        encoded.append(n)
        return bytes([n % 256])

    return Cyclic(can_id, period_s, encode)


def test_only_frames_looked_at_are_encoded_and_the_newest_is_seen() -> None:
    encoded: list[int] = []

    async def main() -> None:
        bus = SimCan("bms")
        bus.station.latch([0x100])
        assert bus.station.newest(0x100) is None
        bus.ecu("bms").start([counted(encoded)])
        await asyncio.sleep(10.05)
        frame = bus.station.newest(0x100)
        assert frame is not None
        assert (frame.data, frame.t_s) == (bytes([100]), pytest.approx(10.0 + CAN_FRAME_S))
        assert bus.station.newest(0x100) is frame
        assert encoded == [100]

    run(main(), 100.0)


def test_a_silent_ecu_leaves_its_last_frame_and_its_age_tells() -> None:
    async def main() -> None:
        bus = SimCan("bms")
        bus.station.latch([0x100])
        port = bus.ecu("bms")
        port.start([counted([])])
        await asyncio.sleep(1.05)
        port.mute(True)
        await asyncio.sleep(5.0)
        frame = bus.station.newest(0x100)
        assert frame is not None
        assert frame.data == bytes([10])
        port.mute(False)
        await asyncio.sleep(0.1)
        frame = bus.station.newest(0x100)
        assert frame is not None
        assert frame.data == bytes([61])

    run(main(), 100.0)


def test_a_stopped_ecu_is_counted_and_can_start_again() -> None:
    async def main() -> None:
        bus = SimCan("bms")
        bus.station.latch([0x100])
        port = bus.ecu("bms")
        port.start([counted([])])
        await asyncio.sleep(1.05)
        port.stop()
        await asyncio.sleep(1.0)
        assert bus.carried == 11
        frame = bus.station.newest(0x100)
        assert frame is not None
        assert frame.data == bytes([10])
        port.start([counted([])])
        await asyncio.sleep(0.01)
        frame = bus.station.newest(0x100)
        assert frame is not None
        assert frame.data == bytes([0])

    run(main(), 100.0)


def test_pushed_frames_arrive_in_order_and_cancelled_pushes_do_not() -> None:
    seen: list[int] = []

    async def main() -> None:
        bus = SimCan("plc")
        subscription = bus.station.push([0x10], lambda frame: seen.append(frame.data[0]))
        port = bus.ecu("plc")
        for number in range(5):
            port.emit(CanFrame(0x10, bytes([number])))
            port.emit(CanFrame(0x11, b"\xff"))
        await asyncio.sleep(0.01)
        subscription.cancel()
        port.emit(CanFrame(0x10, b"\x63"))
        await asyncio.sleep(0.01)

    run(main(), 1.0)
    assert seen == [0, 1, 2, 3, 4]


def test_a_revoked_lease_keeps_the_frame_in() -> None:
    heard: list[CanFrame] = []

    async def main() -> None:
        bus = SimCan("bms")
        bus.ecu("bms").listen([0x20], heard.append)
        book = LeaseBook(asyncio.get_running_loop().time)
        lease = book.grant("bms", 1.0)
        bus.station.send(CanFrame(0x20, b"\x01"), lease)
        book.revoke_all()
        with pytest.raises(LeaseRevoked):
            bus.station.send(CanFrame(0x20, b"\x02"), lease)
        await asyncio.sleep(0.01)

    run(main(), 1.0)
    assert [frame.data for frame in heard] == [b"\x01"]


def test_bus_off_is_an_error_to_send_and_deafness() -> None:
    async def main() -> None:
        bus = SimCan("bms")
        seen: list[CanFrame] = []
        bus.station.push([0x10], seen.append)
        bus.station.go_bus_off()
        with pytest.raises(LinkDown, match="bus-off"):
            bus.station.send(CanFrame(0x20, b""))
        bus.ecu("bms").emit(CanFrame(0x10, b""))
        await asyncio.sleep(0.01)
        assert seen == []
        assert bus.station.health().state is LinkState.BUS_OFF

    run(main(), 1.0)


def test_a_link_whose_controller_went_bus_off_names_its_bus_and_does_not_come_back() -> None:
    async def main() -> None:
        wires = SimWires()
        wires.bus_off("plc", True)
        wires.bus_off("plc", False)
        with pytest.raises(LinkDown, match=r"can\.station: .*bus-off"):
            wires.bus("matrix").station.send(CanFrame(0x20, b""))
        wires.bus("bms").station.send(CanFrame(0x20, b""))

    run(main(), 1.0)


def test_a_line_that_is_plugged_in_again_carries_no_older_lease() -> None:
    async def main() -> None:
        line = SimSerial("cycler")
        heard: list[bytes] = []
        line.device.listen(heard.append)
        book = LeaseBook(asyncio.get_running_loop().time)
        older = book.grant("cycler", 1.0)
        await asyncio.sleep(1.0)
        line.station.down = True
        with pytest.raises(LinkDown, match="gone"):
            line.station.write(b"off")
        line.station.down = False
        with pytest.raises(LinkDown, match="start the run anew"):
            line.station.write(b"on", older)
        line.station.write(b"off")
        book.release(older)
        line.station.write(b"identify", book.grant("cycler", 1.0))
        await asyncio.sleep(1.0)
        assert heard == [b"off", b"identify"]

    run(main(), 10.0)


def test_serial_bytes_take_their_time_and_keep_their_order() -> None:
    async def main() -> None:
        line = SimSerial("digitizer", byte_s=0.001)
        heard: list[tuple[bytes, float]] = []
        line.station.attach(lambda data, t_s: heard.append((data, round(t_s, 6))))
        line.device.listen(lambda data: line.device.emit(data[::-1], delay_s=0.010))
        line.station.write(b"abc")
        line.device.emit(b"x")
        await asyncio.sleep(1.0)
        assert heard == [(b"x", 0.001), (b"cba", 0.016)]

    run(main(), 10.0)


def test_a_tampered_line_delivers_what_the_tamperer_makes_of_it() -> None:
    async def main() -> None:
        line = SimSerial("digitizer")
        heard: list[bytes] = []
        line.station.attach(lambda data, t_s: heard.append(data))
        line.device.tamper = lambda data: [(0.0, data[:1]), (0.1, data[1:])]
        line.device.emit(b"hello")
        await asyncio.sleep(0.05)
        assert heard == [b"h"]
        await asyncio.sleep(0.1)
        assert heard == [b"h", b"ello"]

    run(main(), 1.0)


def test_in_bus_off_the_newest_frame_grows_old() -> None:
    async def main() -> None:
        bus = SimCan("bms")
        bus.station.latch([0x100])
        bus.ecu("bms").start([counted([])])
        await asyncio.sleep(1.05)
        bus.station.go_bus_off()
        await asyncio.sleep(1.0)
        frame = bus.station.newest(0x100)
        assert frame is not None
        assert frame.data == bytes([10])

    run(main(), 100.0)


def test_settling_some_frames_leaves_the_others_lazy() -> None:
    first: list[int] = []
    second: list[int] = []

    async def main() -> None:
        bus = SimCan("bms")
        bus.station.latch([0x100, 0x101])
        port = bus.ecu("bms")
        port.start([counted(first), counted(second, can_id=0x101)])
        await asyncio.sleep(1.05)
        port.settle([0x101])

    run(main(), 100.0)
    assert (first, second) == ([], [10])


def test_periodic_frames_are_tampered_with_from_the_moment_it_begins() -> None:
    async def main() -> None:
        bus = SimCan("bms")
        bus.station.latch([0x100])
        port = bus.ecu("bms")
        port.start([counted([])])
        await asyncio.sleep(1.05)
        port.tamper = lambda frame: frame._replace(data=b"bad")
        before = bus.station.newest(0x100)
        assert before is not None
        assert before.data == bytes([10])
        await asyncio.sleep(0.1)
        after = bus.station.newest(0x100)
        assert after is not None
        assert (after.data, after.t_s) == (b"bad", pytest.approx(1.1 + CAN_FRAME_S))
        port.tamper = lambda frame: None
        await asyncio.sleep(0.5)
        assert bus.station.newest(0x100) is after
        port.tamper = None
        await asyncio.sleep(0.1)
        last = bus.station.newest(0x100)
        assert last is not None
        assert last.data == bytes([17])

    run(main(), 100.0)


def test_what_an_ecu_hears_is_tampered_with() -> None:
    async def main() -> None:
        bus = SimCan("plc")
        port = bus.ecu("plc")
        heard: list[bytes] = []
        port.listen([1, 2], lambda frame: heard.append(frame.data))
        port.tamper_heard = lambda frame: None if frame.can_id == 2 else frame._replace(data=b"other")
        for can_id in (1, 2):
            bus.station.send(CanFrame(can_id, b"sent"))
        await asyncio.sleep(0.1)
        assert heard == [b"other"]

    run(main(), 100.0)
