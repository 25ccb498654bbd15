"""Our link over a kernel's AF_CAN sockets, against raw sockets of the standard library."""

from __future__ import annotations

import asyncio
import socket
import subprocess

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import CanFrame, LinkState
from bmsctl.drivers.links.can_link import PythonCanLink
from bmsctl.drivers.links.can_url import open_bus
from bmsctl.errors import DeviceError, LeaseRevoked, LinkDown
from tests.vcan.wire import EXTENDED, Seen, collect, link_on, peer_on, run, sender, until

FRAMES = 20_000
FULL_BUS = 8
"""Frames a millisecond and a bit: more than 500 kbit/s carry."""
SMALLEST_BYTES = 1
"""The kernel raises it to its minimum, a few frames."""
BUS_OFF = socket.CAN_ERR_FLAG | 0x40


@pytest.mark.parametrize("data", [b"", b"\x01", bytes(range(8))])
def test_classic_frames_arrive_and_leave_as_they_are(data: bytes) -> None:
    async def main() -> None:
        with peer_on() as peer:
            async with link_on() as link:
                frames = collect(link, 0x123)
                before_s = asyncio.get_running_loop().time()
                peer.send(0x123, data)
                await until(lambda: len(frames) == 1, "the frame")
                assert frames[0][:2] == (0x123, data)
                assert before_s <= frames[0].t_s <= asyncio.get_running_loop().time()
                link.send(CanFrame(0x321, data))
                assert peer.receive() == Seen(0x321, data)

    run(main)


@pytest.mark.parametrize("size", [0, 8, 12, 48, 64])
def test_fd_frames_arrive_and_leave_with_bit_rate_switch(size: int) -> None:
    data = bytes(range(size))

    async def main() -> None:
        with peer_on() as peer:
            async with link_on(fd=True) as link:
                frames = collect(link, 0x123)
                peer.send(0x123, data, fd=True)
                await until(lambda: len(frames) == 1, "the frame")
                assert frames[0]._replace(t_s=0.0) == CanFrame(0x123, data, fd=True)
                link.send(CanFrame(0x321, data, fd=True))
                assert peer.receive() == Seen(0x321, data, fd=True, bit_rate_switch=True)

    run(main)


def test_an_fd_link_carries_classic_frames_too() -> None:
    async def main() -> None:
        with peer_on() as peer:
            async with link_on(fd=True) as link:
                frames = collect(link, 0x123)
                peer.send(0x123, b"classic")
                await until(lambda: len(frames) == 1, "the frame")
                assert not frames[0].fd
                link.send(CanFrame(0x321, b"classic"))
                assert peer.receive() == Seen(0x321, b"classic")

    run(main)


def test_a_classic_link_refuses_an_fd_frame() -> None:
    async def main() -> None:
        with peer_on() as peer:
            async with link_on() as link:
                with pytest.raises(DeviceError, match="FD"):
                    link.send(CanFrame(0x321, bytes(64), fd=True))
                link.send(CanFrame(0x322, b"next"))
                assert peer.receive() == Seen(0x322, b"next")

    run(main)


def test_extended_and_standard_ids_of_the_same_number_are_kept_apart() -> None:
    async def main() -> None:
        with peer_on() as peer:
            async with link_on() as link:
                frames = collect(link, 0x123, 0x18DA0123)
                peer.send(0x123 | EXTENDED, b"other")
                peer.send(0x18DA0123 | EXTENDED, b"extended")
                peer.send(0x123, b"standard")
                await until(lambda: len(frames) == 2, "both frames")
                assert [(frame.data, frame.extended) for frame in frames] == [(b"extended", True), (b"standard", False)]
                link.send(CanFrame(0x123, b"long", extended=True))
                link.send(CanFrame(0x123, b"short"))
                assert [peer.receive().can_id for _ in range(2)] == [0x123 | EXTENDED, 0x123]

    run(main)


def test_what_a_link_sends_reaches_others_of_its_channel_and_not_itself() -> None:
    async def main() -> None:
        async with link_on() as one, link_on() as other, link_on("vcan1") as elsewhere:
            heard = [collect(link, 0x321, 0x322) for link in (one, other, elsewhere)]
            one.send(CanFrame(0x321, b"one"))
            other.send(CanFrame(0x322, b"other"))
            await until(lambda: heard[0] != [] and heard[1] != [], "both frames")
            assert [[frame.data for frame in frames] for frames in heard] == [[b"other"], [b"one"], []]

    run(main)


def test_a_latched_id_keeps_its_newest_frame() -> None:
    async def main() -> None:
        with peer_on() as peer:
            async with link_on() as link:
                last = collect(link, 0x124)
                link.latch([0x123])
                assert link.newest(0x123) is None
                for number in range(100):
                    peer.send(0x123, bytes((number,)))
                peer.send(0x124, b"last")
                await until(lambda: last != [], "the last frame")
                newest = link.newest(0x123)
                assert newest is not None
                assert newest.data == bytes((99,))

    run(main)


def test_frames_leave_in_order_and_none_under_a_revoked_lease() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        leases = LeaseBook(loop.time)
        lease = leases.grant("bms", 1.0)
        with peer_on() as peer:
            async with link_on() as link:
                for number in range(50):
                    link.send(CanFrame(0x310, bytes((number,))), lease)
                assert [peer.receive().data[0] for _ in range(50)] == list(range(50))
                leases.revoke_all()
                with pytest.raises(LeaseRevoked):
                    link.send(CanFrame(0x310, b"on"), lease)
                link.send(CanFrame(0x310, b"off"))
                assert peer.receive() == Seen(0x310, b"off")

    run(main)


@pytest.mark.parametrize("size", [8, 64], ids=["classic", "fd"])
def test_none_of_20000_frames_of_another_process_is_lost_or_overtaken(size: int) -> None:
    async def main() -> None:
        async with link_on(fd=size > 8) as link:
            frames = collect(link, 0x123)
            with sender(FRAMES, size=size, burst=FULL_BUS):
                await until(lambda: len(frames) + link.health().lost + link.health().overflow >= FRAMES, "all frames")
            assert [int.from_bytes(frame.data[:4]) for frame in frames] == list(range(FRAMES))
            assert all(len(frame.data) == size for frame in frames)
            assert (link.health().lost, link.health().overflow) == (0, 0)

    run(main)


def test_frames_that_the_kernel_drops_are_counted() -> None:
    async def main() -> None:
        bus = open_bus("socketcan://vcan0")
        link = PythonCanLink("bms", bus, asyncio.get_running_loop())
        bus.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST_BYTES)
        try:
            frames = collect(link, 0x123)
            with sender(FRAMES) as flood:
                await until(lambda: flood.poll() == 0, "the sender's end")
            await until(lambda: len(frames) + link.health().lost == FRAMES, "the count of the lost frames")
            assert link.health().lost > 0
            assert link.health().overflow == 0
        finally:
            link.close()

    run(main)


def test_an_interface_taken_down_is_down_until_it_is_back() -> None:
    async def main() -> None:
        async with link_on("vcan1") as link:
            frames = collect(link, 0x123)
            _interface("vcan1", "down")
            try:
                await until(lambda: link.health().state is LinkState.DOWN, "DOWN")
                with pytest.raises(LinkDown):
                    link.send(CanFrame(0x321, b"lost"))
            finally:
                _interface("vcan1", "up")
            assert link.health().state is LinkState.DOWN
            await link.recover()
            with peer_on("vcan1") as peer:
                peer.send(0x123, b"back")
                await until(lambda: frames != [], "a frame after the interface came back")
                link.send(CanFrame(0x321, b"again"))
                assert peer.receive() == Seen(0x321, b"again")

    run(main)


def test_an_error_frame_that_says_bus_off_is_no_frame_and_stops_sending() -> None:
    async def main() -> None:
        with peer_on() as peer:
            async with link_on() as link:
                frames = collect(link, 0x40, 0x123)
                peer.send(BUS_OFF, bytes(8))
                await until(lambda: link.health().state is LinkState.BUS_OFF, "BUS_OFF")
                assert frames == []
                with pytest.raises(LinkDown, match="bus-off"):
                    link.send(CanFrame(0x321, b"lost"))

    run(main)


def test_only_the_channel_that_is_missing_is_refused() -> None:
    with peer_on() as peer:
        bus = open_bus("socketcan://vcan0")
        peer.send(0x123, b"")
        bus.shutdown()
    with pytest.raises(LinkDown, match="vcan7"):
        open_bus("socketcan://vcan7")


def _interface(channel: str, state: str) -> None:
    subprocess.run(["ip", "link", "set", channel, state], check=True)
