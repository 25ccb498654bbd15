"""What a socketcan socket gives, read by hand from `struct can_frame` and `struct canfd_frame`.

A UDP socket stands in for AF_CAN, which not every kernel has: datagrams keep their bounds, and the kernel counts
what it drops in the same place.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable, Iterator

import can
import pytest

from bmsctl.domain.links import CanFrame
from bmsctl.drivers.links.can_reader import BATCH, MessageReader, SocketReader, reader_of
from bmsctl.drivers.links.can_url import open_bus

CLASSIC = "=IBxxx8s"
FD = "=IBBxx64s"
T_S = 12.5


class Line:
    """A sender, and the reader of what it sends."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far = near, far
        self.reader = SocketReader(near, lambda: T_S)

    def send(self, packet: bytes) -> None:
        self.far.sendto(packet, self.near.getsockname())


@pytest.fixture
def line() -> Iterator[Line]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
    ):
        near.bind(("127.0.0.1", 0))
        yield Line(near, far)


@pytest.mark.parametrize(
    ("packet", "frame"),
    [
        (struct.pack(CLASSIC, 0x123, 3, b"abc"), CanFrame(0x123, b"abc", T_S)),
        (struct.pack(CLASSIC, 0x7FF, 8, b"12345678"), CanFrame(0x7FF, b"12345678", T_S)),
        (struct.pack(CLASSIC, 0, 0, b""), CanFrame(0, b"", T_S)),
        (struct.pack(CLASSIC, 0x80000123, 1, b"x"), CanFrame(0x123, b"x", T_S, extended=True)),
        (struct.pack(CLASSIC, 0x98DAF110, 1, b"x"), CanFrame(0x18DAF110, b"x", T_S, extended=True)),
        (struct.pack(FD, 0x123, 12, 1, b"twelve bytes"), CanFrame(0x123, b"twelve bytes", T_S, fd=True)),
        (struct.pack(FD, 0x98DAF110, 64, 0, b"\xff" * 64), CanFrame(0x18DAF110, b"\xff" * 64, T_S, True, True)),
    ],
)
def test_data_frames(line: Line, packet: bytes, frame: CanFrame) -> None:
    line.send(packet)
    assert line.reader.read(1.0) == [frame]
    assert (line.reader.errors, line.reader.lost) == (0, 0)


def test_remote_and_error_frames_are_no_data_and_bus_off_is_noticed(line: Line) -> None:
    line.send(struct.pack(CLASSIC, 0x40000123, 8, b""))
    line.send(struct.pack(CLASSIC, 0xC0000123, 8, b""))
    line.send(struct.pack(CLASSIC, 0x20000004, 8, b""))
    assert line.reader.read(1.0) == []
    assert (line.reader.errors, line.reader.bus_off) == (1, False)
    line.send(struct.pack(CLASSIC, 0x20000040, 8, b""))
    assert line.reader.read(1.0) == []
    assert (line.reader.errors, line.reader.bus_off) == (2, True)


def test_nothing_there_ends_the_wait(line: Line) -> None:
    assert line.reader.read(0.0) == []


def test_a_flood_is_read_in_bounded_batches_without_loss(line: Line) -> None:
    for number in range(BATCH + 10):
        line.send(struct.pack(CLASSIC, 0x100, 4, number.to_bytes(4)))
    batches = [line.reader.read(1.0), line.reader.read(1.0)]
    assert [len(batch) for batch in batches] == [BATCH, 10]
    assert [int.from_bytes(frame.data) for batch in batches for frame in batch] == list(range(BATCH + 10))
    assert line.reader.lost == 0


def test_what_the_kernel_drops_is_lost_even_when_nothing_follows(line: Line) -> None:
    line.near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sent = 200
    for _ in range(sent):
        line.send(struct.pack(CLASSIC, 0x100, 8, b""))
    received = 0
    while frames := line.reader.read(0.0):
        received += len(frames)
    assert 0 < received < sent
    assert received + line.reader.lost == sent


def test_other_buses_are_read_through_python_can() -> None:
    async def main() -> None:
        now = asyncio.get_running_loop().time
        with open_bus("virtual://reader") as bus, open_bus("virtual://reader") as other:
            reader = reader_of(bus, now)
            assert isinstance(reader, MessageReader)
            for number in range(BATCH + 10):
                other.send(can.Message(arbitration_id=0x100, data=number.to_bytes(2), is_extended_id=False))
            assert [len(reader.read(0.0)) for _ in range(3)] == [BATCH, 10, 0]

    asyncio.run(main())


class Scripted(can.BusABC):
    """An adapter that has these messages."""

    def __init__(self, messages: Iterable[can.Message]) -> None:
        self._messages = iter(messages)
        super().__init__(channel="scripted")

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        return next(self._messages, None), False

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        raise NotImplementedError


def test_error_frames_among_a_full_batch_cost_no_frame() -> None:
    messages = [can.Message(arbitration_id=0x100, is_extended_id=False, data=b"x") for _ in range(2 * BATCH)]
    messages[5] = can.Message(is_error_frame=True)
    with Scripted(messages) as bus:
        reader = MessageReader(bus, lambda: T_S)
        batches = [len(reader.read(0.0)) for _ in range(3)]
    assert batches == [BATCH - 1, BATCH, 0]
    assert reader.errors == 1
