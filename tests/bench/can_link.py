"""CPU per received frame of a full CAN bus: our link, against python-can's Notifier with cantools.

Ours latches every frame and decodes the newest ones ten times a second, as a station does; the peer decodes every
frame, as a Notifier's listener does. Each side is a fresh process, and they alternate. The frames come from a
process of their own, paced as a bus of 500 kbit/s. Both sides receive them by the same bus of python-can, in turn:

socketcan  its socket is a UDP one here, for not every kernel has CAN: packets and system calls are the same
bench      the bench's own, which our link reads as any other adapter, message by message
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import can
from can.interfaces.socketcan import SocketcanBus
from can.interfaces.socketcan.constants import SO_TIMESTAMPNS

from hil.bench import _child
from hil.bench_bus import BenchBus

RUNS = 5
FRAMES_PER_S = 4000
MEASURED_S = 1.5
WARM_UP_S = 0.3
START_S = 30.0
READS_PER_S = 10
DBC = Path(__file__).parents[2] / "recipes/ampr_small.dbc"
PACKET = struct.Struct("=IB3x8s")


class DatagramBus(SocketcanBus):
    """python-can's socketcan bus on a socket of another family."""

    def __init__(self, near: socket.socket) -> None:
        near.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket = near
        self.channel = "udp"
        self._bcm_sockets = {}
        can.BusABC.__init__(self, channel=self.channel)

    def _apply_filters(self, filters: can.typechecking.CanFilters | None) -> None:
        self._is_filtered = True


def broadcast_frames() -> Iterator[bytes]:
    """Packets of the broadcast, each identifier as often as its period says, without end."""
    from bmsctl.protocols.bms_broadcast import AMPR_SMALL

    periods_s = AMPR_SMALL.period_s
    due = [(period_s, can_id) for can_id, period_s in periods_s.items()]
    heapq.heapify(due)
    sent = dict.fromkeys(periods_s, 0)
    while True:
        due_s, can_id = heapq.heappop(due)
        heapq.heappush(due, (due_s + periods_s[can_id], can_id))
        sent[can_id] += 1
        yield PACKET.pack(can_id, AMPR_SMALL.length[can_id], AMPR_SMALL.seal(can_id, sent[can_id], 0))


def at_full_rate(send: Callable[[bytes], object]) -> None:
    """Send at the pace of a full bus until nobody listens."""
    frames = list(itertools.islice(broadcast_frames(), FRAMES_PER_S))
    started_s = time.monotonic()
    for number, frame in enumerate(itertools.cycle(frames)):
        ahead_s = started_s + number / FRAMES_PER_S - time.monotonic()
        if ahead_s > 0.0:
            time.sleep(ahead_s)
        try:
            send(frame)
        except (OSError, can.CanError):
            return


def send_socketcan(descriptor: str) -> None:
    """`descriptor`: of a connected socket."""
    with socket.socket(fileno=int(descriptor)) as far:
        at_full_rate(far.send)


def send_bench(channel: str) -> None:
    """`channel`: the path of the hub's socket."""
    bus = BenchBus(channel, name="sender")

    def send(packet: bytes) -> None:
        can_id, length, data = PACKET.unpack(packet)
        bus.send(can.Message(arbitration_id=can_id, data=data[:length], is_extended_id=False))

    at_full_rate(send)
    bus.shutdown()


def cpu_s() -> float:
    """CPU of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the frames flow."""
    deadline_s = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline_s, f"no frames within {START_S:g} s"
        await asyncio.sleep(0.01)


async def ours(bus: can.BusABC) -> float:
    """Microseconds a frame."""
    from bmsctl.drivers.links.can_link import PythonCanLink
    from bmsctl.protocols import bms_broadcast as broadcast

    small = broadcast.AMPR_SMALL
    link = PythonCanLink("bms", bus, asyncio.get_running_loop())
    link.latch(small.period_s)

    def payload(can_id: int) -> int:
        frame = link.newest(can_id)
        assert frame is not None
        sealed = small.unseal(can_id, frame.data)
        assert sealed is not None
        return sealed.payload

    def payloads(burst: broadcast.Burst) -> list[int]:
        return [payload(can_id) for can_id in burst.can_ids]

    async def read(duration_s: float) -> None:
        for _ in range(round(duration_s * READS_PER_S)):
            await asyncio.sleep(1 / READS_PER_S)
            small.decode_cells(payloads(small.cells))
            small.decode_temperatures(payloads(small.temperatures))
            small.decode_busbars(payloads(small.busbars))
            small.decode_balancing(payloads(small.balancing))
            broadcast.decode_insulation(payload(broadcast.INSULATION_ID))
            broadcast.decode_current(payload(broadcast.CURRENT_ID))
            broadcast.decode_status(payload(broadcast.STATUS_ID))
            broadcast.decode_taps(payload(broadcast.TAPS_ID))

    await until(lambda: all(link.newest(can_id) is not None for can_id in small.period_s))
    await read(WARM_UP_S)
    before_s, before = cpu_s(), link.received
    await read(MEASURED_S)
    used_s, frames = cpu_s() - before_s, link.received - before
    link.close()
    return used_s / frames * 1e6


async def peer(bus: can.BusABC) -> float:
    """Microseconds a frame."""
    import cantools.database

    database: Any = cantools.database.load_file(DBC)
    decoded = 0

    def decode(message: can.Message) -> None:
        nonlocal decoded
        database.decode_message(message.arbitration_id, message.data)
        decoded += 1

    notifier = can.Notifier(bus, [decode], timeout=0.1)
    await until(lambda: decoded > FRAMES_PER_S * WARM_UP_S)
    before_s, before = cpu_s(), decoded
    await asyncio.sleep(MEASURED_S)
    used_s, frames = cpu_s() - before_s, decoded - before
    assert notifier.exception is None
    notifier.stop()
    bus.shutdown()
    return used_s / frames * 1e6


@contextmanager
def socketcan() -> Iterator[can.BusABC]:
    """A bus on which the broadcast runs."""
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    near.bind(("127.0.0.1", 0))
    far.connect(near.getsockname())
    with far, sender("socketcan", str(far.fileno()), pass_fds=[far.fileno()]):
        yield DatagramBus(near)


@contextmanager
def bench() -> Iterator[can.BusABC]:
    """A bus on which the broadcast runs."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _child("hil.hub", folder, "pack"):
        channel = f"{folder}/pack.can"
        bus = BenchBus(channel, name="receiver")
        with sender("bench", channel):
            yield bus


TRANSPORTS = {"socketcan": socketcan, "bench": bench}


@contextmanager
def sender(transport: str, where: str, pass_fds: Sequence[int] = ()) -> Iterator[None]:
    """A process of its own that sends."""
    with subprocess.Popen(
        (sys.executable, "-m", __spec__.name, "send", transport, where), pass_fds=pass_fds
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def one_side(side: str, transport: str) -> float:
    """Microseconds a frame of one side, in this process."""
    with TRANSPORTS[transport]() as bus:
        return asyncio.run((ours if side == "ours" else peer)(bus))


def fresh(side: str, transport: str) -> float:
    """Microseconds a frame of one side, in a process of its own."""
    command = (sys.executable, "-m", __spec__.name, side, transport)
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def compared(transport: str) -> dict[str, float]:
    """Medians of RUNS pairs, in microseconds a frame."""
    pairs = [(fresh("ours", transport), fresh("peer", transport)) for _ in range(RUNS)]
    ours_us, peer_us = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    return {"ours_us": ours_us, "peer_us": peer_us, "ratio": statistics.median(a / b for a, b in pairs)}


def main() -> None:
    if sys.argv[1:2] == ["send"]:
        (send_socketcan if sys.argv[2] == "socketcan" else send_bench)(sys.argv[3])
    elif sys.argv[1:]:
        sys.stdout.write(f"{one_side(sys.argv[1], sys.argv[2])}\n")
    else:
        json.dump({transport: compared(transport) for transport in TRANSPORTS}, sys.stdout)
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
