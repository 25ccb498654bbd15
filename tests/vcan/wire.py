"""Both ends of a vcan: our link, and a raw socket of the standard library as the other end."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

from bmsctl.domain.links import CanFrame
from bmsctl.drivers.links.can_link import PythonCanLink
from bmsctl.drivers.links.can_url import open_bus
from bmsctl.errors import TxFull

EXTENDED = socket.CAN_EFF_FLAG
BIT_RATE_SWITCH = 0x01
FD_BYTES = 72
"""What a socket gives for one CAN FD frame; 16 for a classic one."""
SENDER = Path(__file__).with_name("sender.py")
RECEIVE_LISTS = Path("/proc/net/can")
PATIENCE_S = 30.0
"""Far longer than anything here takes, so that a stalled machine fails no test."""


class Seen(NamedTuple):
    """One frame as a raw socket sees it; `can_id` with the kernel's flag of extended ids."""

    can_id: int
    data: bytes
    fd: bool = False
    bit_rate_switch: bool = False


class Peer:
    """A raw CAN socket bound to one channel; reads and writes CAN FD too."""

    def __init__(self, channel: str = "vcan0") -> None:
        self._socket = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        self._socket.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
        self._socket.settimeout(PATIENCE_S)
        self._socket.bind((channel,))

    def send(self, can_id: int, data: bytes, *, fd: bool = False) -> None:
        """Send one frame; `can_id` with the kernel's flags."""
        if fd:
            self._socket.send(struct.pack("=IBBxx64s", can_id, len(data), BIT_RATE_SWITCH, data))
        else:
            self._socket.send(struct.pack("=IB3x8s", can_id, len(data), data))

    def receive(self) -> Seen:
        """The next frame that others sent."""
        raw = self._socket.recv(FD_BYTES)
        can_id, length, flags = struct.unpack_from("=IBB", raw)
        fd = len(raw) == FD_BYTES
        return Seen(can_id, raw[8 : 8 + length], fd, fd and bool(flags & BIT_RATE_SWITCH))

    def close(self) -> None:
        self._socket.close()


@contextmanager
def peer_on(channel: str = "vcan0") -> Iterator[Peer]:
    """A peer that is closed in the end."""
    peer = Peer(channel)
    try:
        yield peer
    finally:
        peer.close()


@asynccontextmanager
async def link_on(channel: str = "vcan0", *, fd: bool = False) -> AsyncIterator[PythonCanLink]:
    """Our link to a channel, closed in the end."""
    url = f"socketcan://{channel}?fd={str(fd).lower()}"
    link = PythonCanLink("bms", lambda: open_bus(url), asyncio.get_running_loop())
    try:
        yield link
    finally:
        link.close()


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine on a loop of its own."""

    async def started() -> None:
        await main()

    asyncio.run(started())


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fail with `what` is missing."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + PATIENCE_S
    while not condition():
        assert loop.time() < deadline_s, f"waited {PATIENCE_S:g} s for {what}"
        await asyncio.sleep(0.005)


async def send_all(link: PythonCanLink, frames: Iterable[CanFrame]) -> None:
    """Send more frames than the transmit queue holds."""
    for frame in frames:
        while True:
            try:
                link.send(frame)
            except TxFull:
                await asyncio.sleep(0.001)
            else:
                break


def collect(link: PythonCanLink, *can_ids: int) -> list[CanFrame]:
    """The list to which the link adds every frame with one of the ids."""
    frames: list[CanFrame] = []
    link.push(can_ids, frames.append)
    return frames


def listeners(channel: str = "vcan0") -> int:
    """How many receive filters the kernel holds for a channel."""
    lists = [path.read_text() for path in RECEIVE_LISTS.glob("rcvlist_*")]
    return sum(line.split()[:1] == [channel] for text in lists for line in text.splitlines())


@contextmanager
def program(*command: str, listens: bool = False, channel: str = "vcan0") -> Iterator[subprocess.Popen[str]]:
    """A program whose output is read as text; ended in the end. `listens`: wait until it hears the channel."""
    before = listeners(channel)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            while listens and listeners(channel) == before:
                assert process.poll() is None, f"{command[0]} ended with status {process.returncode}"
                time.sleep(0.01)
            yield process
        finally:
            process.terminate()


@contextmanager
def awake_bms(channel: str, message_set: str) -> Iterator[None]:
    """A BMS in a process of its own, which has begun to measure."""
    with program(sys.executable, "-m", "tests.vcan.bms_process", channel, message_set) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "awake\n"
        yield


def sender(count: int, *, size: int = 8, burst: int = 0, channel: str = "vcan0") -> subprocess.Popen[bytes]:
    """Start the process that sends numbered frames with id 0x123."""
    return subprocess.Popen([sys.executable, "-S", str(SENDER), channel, str(count), str(size), str(burst)])
