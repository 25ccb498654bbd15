"""Instruments behind a pseudo-terminal, and the pseudo-terminal itself."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hil.stubs.ptys import Pty
from hil.stubs.serial_end import UNREAD_MAX_BYTES, SerialEnd

PATIENCE_S = 10.0


@pytest.fixture
def pty(tmp_path: Path) -> Iterator[Pty]:
    port = Pty(tmp_path / "cycler")
    yield port
    port.unplug()


@contextmanager
def station_at(pty: Pty) -> Iterator[int]:
    """The station's end, opened by its name."""
    descriptor = os.open(pty.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def instrument_at(
    pty: Pty, tap: Callable[[bytes], None] = lambda data: None, terminator: bytes | None = None
) -> Iterator[SerialEnd]:
    end = SerialEnd(pty, tap, terminator)
    try:
        yield end
    finally:
        end.close()


async def read(station: int, count: int) -> bytes:
    data = b""
    async with asyncio.timeout(PATIENCE_S):
        while len(data) < count:
            try:
                data += os.read(station, count - len(data))
            except BlockingIOError:
                await asyncio.sleep(0.001)
    return data


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)


def test_bytes_arrive_as_they_are(pty: Pty) -> None:
    every_byte = bytes(range(256))
    heard = bytearray()

    async def main() -> None:
        with station_at(pty) as station, instrument_at(pty) as instrument:
            instrument.listen(heard.extend)
            instrument.emit(every_byte)
            assert await read(station, 256) == every_byte
            os.write(station, every_byte)
            await until(lambda: len(heard) == 256)
            assert bytes(heard) == every_byte

    asyncio.run(main())


def test_what_is_emitted_keeps_its_order_whatever_its_delay(pty: Pty) -> None:
    async def main() -> None:
        with station_at(pty) as station, instrument_at(pty) as instrument:
            instrument.emit(b"a", 0.05)
            instrument.emit(b"b")
            instrument.emit(b"c", 0.05)
            instrument.emit(b"d", 0.01)
            assert await read(station, 4) == b"abcd"

    asyncio.run(main())


def test_pieces_arrive_instead_of_the_telegram(pty: Pty) -> None:
    async def main() -> None:
        with station_at(pty) as station, instrument_at(pty) as instrument:
            instrument.tamper = lambda data: [(0.0, data[:1]), (0.01, b"?")]
            instrument.emit(b"xyz")
            assert await read(station, 2) == b"x?"
            assert instrument.counters.sent == 2

    asyncio.run(main())


def test_telegrams_are_announced_whole_before_the_instrument_hears_them(pty: Pty) -> None:
    order: list[tuple[str, bytes]] = []

    def announced(data: bytes) -> None:
        order.append(("tap", data))

    async def main() -> None:
        with station_at(pty) as station, instrument_at(pty, announced, b"\n") as instrument:
            instrument.listen(lambda data: order.append(("heard", data)))
            os.write(station, b"*ID")
            await until(lambda: len(order) == 1)
            os.write(station, b"N?\n")
            await until(lambda: len(order) == 3)

    asyncio.run(main())
    assert order == [("heard", b"*ID"), ("tap", b"*IDN?\n"), ("heard", b"N?\n")]


def test_a_muted_instrument_neither_answers_nor_hears(pty: Pty) -> None:
    heard = bytearray()

    async def main() -> None:
        with station_at(pty) as station, instrument_at(pty) as instrument:
            instrument.listen(heard.extend)
            instrument.muted = True
            instrument.emit(b"no")
            os.write(station, b"lost")
            await until(lambda: instrument.counters.heard == 4)
            instrument.muted = False
            instrument.emit(b"yes")
            assert await read(station, 3) == b"yes"
            assert not heard

    asyncio.run(main())


def test_a_station_that_does_not_read_loses_bytes_beyond_a_bound_and_they_are_counted(pty: Pty) -> None:
    async def main() -> None:
        with station_at(pty) as station, instrument_at(pty) as instrument:
            for _ in range(10):
                instrument.emit(bytes(UNREAD_MAX_BYTES // 4))
            assert instrument.counters.lost >= UNREAD_MAX_BYTES
            assert len(await read(station, instrument.counters.sent)) == instrument.counters.sent

    asyncio.run(main())


def test_an_unplugged_port_is_gone_and_comes_back_as_another_device(pty: Pty) -> None:
    async def main() -> None:
        before = os.readlink(pty.path)
        with instrument_at(pty) as instrument:
            with station_at(pty) as station:
                instrument.unplug(True)
                assert not pty.path.is_symlink()
                with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                    os.write(station, b"x")
            instrument.emit(b"lost")
            instrument.unplug(False)
            assert os.readlink(pty.path) != before
            with station_at(pty) as station:
                instrument.emit(b"back")
                assert await read(station, 4) == b"back"

    asyncio.run(main())


def test_bytes_of_before_are_not_for_this_pack(pty: Pty) -> None:
    heard = bytearray()

    async def main() -> None:
        with station_at(pty) as station:
            os.write(station, b"old")
            with instrument_at(pty) as instrument:
                instrument.listen(heard.extend)
                os.write(station, b"new")
                await until(lambda: bool(heard))

    asyncio.run(main())
    assert heard == b"new"
