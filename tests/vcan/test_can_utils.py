"""Programs of can-utils as peers: they see what our link sends, and feed it."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import uds
from bmsctl.protocols.isotp import IsoTp
from tests.vcan.wire import PATIENCE_S, Seen, collect, link_on, peer_on, program, run, send_all, until

LOGGED = re.compile(r"\(\d+\.\d+\) vcan0 ([0-9A-F]+)#(?:#([0-9A-F]))?([0-9A-F]*)")
BIT_RATE_SWITCH = 0x1

FRAMES = [
    CanFrame(0x110, bytes.fromhex("11223344")),
    CanFrame(0x18DADBF1, bytes.fromhex("021060AAAAAAAAAA"), extended=True),
    CanFrame(0x7FF, b""),
    CanFrame(0x123, bytes(range(64)), fd=True),
]


def read_log(text: str) -> list[CanFrame]:
    """The frames of a log as candump writes it; an id of eight digits is extended."""
    frames = []
    for line in text.splitlines():
        logged = LOGGED.fullmatch(line)
        assert logged is not None, line
        can_id, flags, data = logged.groups()
        if flags is not None:
            assert int(flags, 16) & BIT_RATE_SWITCH
        frames.append(CanFrame(int(can_id, 16), bytes.fromhex(data), extended=len(can_id) == 8, fd=flags is not None))
    return frames


def write_log(frames: list[CanFrame], path: Path) -> None:
    """A log as candump writes it, a millisecond from frame to frame."""
    lines = []
    for number, frame in enumerate(frames):
        can_id = f"{frame.can_id:08X}" if frame.extended else f"{frame.can_id:03X}"
        mark = f"##{BIT_RATE_SWITCH:X}" if frame.fd else "#"
        lines.append(f"({number / 1000:.6f}) vcan0 {can_id}{mark}{frame.data.hex().upper()}\n")
    path.write_text("".join(lines))


def plain(frames: list[CanFrame]) -> list[CanFrame]:
    """Frames without the time of their receipt."""
    return [frame._replace(t_s=0.0) for frame in frames]


def cansend(text: str) -> None:
    subprocess.run(["cansend", "vcan0", text], check=True, timeout=PATIENCE_S)


def test_candump_logs_the_bytes_that_we_send() -> None:
    async def main() -> None:
        with program("candump", "-L", "-n", str(len(FRAMES)), "vcan0", listens=True) as candump:
            async with link_on(fd=True) as link:
                for frame in FRAMES:
                    link.send(frame)
                log, _ = await asyncio.get_running_loop().run_in_executor(None, candump.communicate)
        assert read_log(log) == FRAMES

    run(main)


def test_candump_logs_2000_frames_in_the_order_we_send_them() -> None:
    frames = [CanFrame(0x123, number.to_bytes(4)) for number in range(2000)]

    async def main() -> None:
        with program("candump", "-L", "-n", str(len(frames)), "vcan0", listens=True) as candump:
            async with link_on() as link:
                await send_all(link, frames)
                log, _ = await asyncio.get_running_loop().run_in_executor(None, candump.communicate)
        assert read_log(log) == frames

    run(main)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("123#112233", CanFrame(0x123, bytes.fromhex("112233"))),
        ("00000800#", CanFrame(0x800, b"", extended=True)),
        ("18DAF1DB#037F2278", CanFrame(0x18DAF1DB, bytes.fromhex("037F2278"), extended=True)),
        ("123##1" + "A5" * 64, CanFrame(0x123, b"\xa5" * 64, fd=True)),
    ],
)
def test_cansend_feeds_us(text: str, frame: CanFrame) -> None:
    async def main() -> None:
        async with link_on(fd=True) as link:
            frames = collect(link, frame.can_id)
            cansend(text)
            await until(lambda: frames != [], text)
        assert plain(frames) == [frame]

    run(main)


def test_canplayer_replays_a_log_and_we_receive_it_in_order(tmp_path: Path) -> None:
    frames = FRAMES + [CanFrame(0x200 + number % 24, number.to_bytes(8)) for number in range(500)]
    log = tmp_path / "drive.log"
    write_log(frames, log)

    async def main() -> None:
        async with link_on(fd=True) as link:
            received = collect(link, *{frame.can_id for frame in frames})
            with program("canplayer", "-I", str(log)):
                await until(lambda: len(received) == len(frames), "the whole log")
        assert plain(received) == frames

    run(main)


def test_cangen_floods_us_in_order() -> None:
    """Another sender, written in C: its data count up from 0, little endian."""

    async def main() -> None:
        async with link_on() as link:
            frames = collect(link, 0x123)
            with program("cangen", "vcan0", "-g", "0", "-n", "2000", "-I", "123", "-L", "8", "-D", "i"):
                await until(lambda: len(frames) == 2000, "all frames")
        assert [int.from_bytes(frame.data, "little") for frame in frames] == list(range(2000))

    run(main)


def test_isotpdump_decodes_our_multi_frame_exchange() -> None:
    """We ask for the VIN; a raw socket answers in three frames; isotpdump names each of them and the service."""
    answer = [bytes.fromhex("101462F190564631"), b"\x21AAAA000", b"\x220000001"]
    lines = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        message: asyncio.Future[bytes] = loop.create_future()
        command = ["stdbuf", "-oL", "isotpdump", "-u", "-s", f"{uds.REQUEST_ID:08X}", "-d", f"{uds.ANSWER_ID:08X}"]
        with program(*command, "vcan0", listens=True) as isotpdump, peer_on() as ecu:
            async with link_on() as link:
                isotp = IsoTp(
                    loop,
                    lambda data: link.send(CanFrame(uds.REQUEST_ID, data, extended=True)),
                    message.set_result,
                    message.set_exception,
                )
                link.push([uds.ANSWER_ID], lambda frame: isotp.frame(frame.data))
                isotp.transmit(bytes.fromhex("22F190"))
                assert ecu.receive().data[:4] == bytes.fromhex("0322F190")
                ecu.send(uds.ANSWER_ID | 0x8000_0000, answer[0])
                flow_control = await loop.run_in_executor(None, ecu.receive)
                assert flow_control == Seen(uds.REQUEST_ID | 0x8000_0000, bytes.fromhex("300000AAAAAAAAAA"))
                for data in answer[1:]:
                    ecu.send(uds.ANSWER_ID | 0x8000_0000, data)
                assert await message == bytes.fromhex("62F190") + b"VF1AAAA0000000001"
            assert isotpdump.stdout is not None
            lines.extend(isotpdump.stdout.readline().strip() for _ in range(5))

    run(main)
    heads = [(line.split()[1], re.search(r"\[(\w\w)\]", line)) for line in lines]
    assert [(can_id, kind and kind[1]) for can_id, kind in heads] == [
        ("18DADBF1", "SF"),
        ("18DAF1DB", "FF"),
        ("18DADBF1", "FC"),
        ("18DAF1DB", "CF"),
        ("18DAF1DB", "CF"),
    ]
    assert "ln: 3" in lines[0]
    assert "[SRQ] ReadDataByIdentifier" in lines[0]
    assert "ln: 20" in lines[1]
    assert "[PSR] ReadDataByIdentifier" in lines[1]
    assert "0 = CTS" in lines[2]
    assert "sn: 2" in lines[4]
