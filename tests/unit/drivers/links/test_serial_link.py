"""The serial link: over PTYs and TCP, unplugged, plugged in again, revoked."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import serial

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import LinkState
from bmsctl.drivers.links import device_files, serial_link
from bmsctl.drivers.links.serial_link import TRANSMIT_DEPTH, PyserialLink
from bmsctl.errors import LeaseRevoked, LinkDown, TxFull
from tests.unit.drivers.links.waiting import PATIENCE_S, run, until

BAUD = 115200


class Instrument:
    """The far end of a PTY that the station finds under a stable path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self.plug()

    def plug(self) -> None:
        """Appear under the path, as another device file than before."""
        self._fd, other = os.openpty()
        tty.setraw(other)
        new = self.path.with_suffix(".new")
        new.symlink_to(os.ttyname(other))
        new.rename(self.path)
        os.close(other)

    def unplug(self) -> None:
        """Disappear, path and all."""
        if self._fd is not None:
            self.path.unlink()
            os.close(self._fd)
            self._fd = None

    def emit(self, data: bytes) -> None:
        assert self._fd is not None
        os.write(self._fd, data)

    async def hear(self, n: int) -> bytes:
        """The next `n` bytes from the station."""
        assert self._fd is not None
        os.set_blocking(self._fd, False)
        heard = b""
        async with asyncio.timeout(PATIENCE_S):
            while len(heard) < n:
                try:
                    heard += os.read(self._fd, n - len(heard))
                except OSError:  # nothing yet
                    await asyncio.sleep(0.002)
        return heard


@pytest.fixture
def instrument(tmp_path: Path) -> Iterator[Instrument]:
    far = Instrument(tmp_path / "ohmmeter")
    yield far
    far.unplug()


@asynccontextmanager
async def linked(url: str | Path) -> AsyncIterator[tuple[PyserialLink, list[tuple[bytes, float]]]]:
    """A link, and the pieces it delivers."""
    link = PyserialLink("ohmmeter", str(url), BAUD, asyncio.get_running_loop())
    pieces: list[tuple[bytes, float]] = []
    link.attach(lambda data, t_s: pieces.append((data, t_s)))
    try:
        yield link, pieces
    finally:
        link.close()


def heard(pieces: list[tuple[bytes, float]]) -> bytes:
    return b"".join(data for data, _ in pieces)


async def replug(instrument: Instrument, link: PyserialLink) -> None:
    instrument.unplug()
    await until(lambda: link.health().state is LinkState.DOWN)
    instrument.plug()
    await until(lambda: link.health().state is LinkState.UP)


def book() -> LeaseBook:
    return LeaseBook(asyncio.get_running_loop().time)


class TestReceiving:
    def test_bytes_arrive_in_order_stamped_in_loop_time_and_on_the_loop(self, instrument: Instrument) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            async with linked(instrument.path) as (link, pieces):
                sent = bytes(range(256)) * 8
                before_s = loop.time()
                for at in range(0, len(sent), 100):
                    instrument.emit(sent[at : at + 100])
                await until(lambda: len(heard(pieces)) == len(sent))
                assert heard(pieces) == sent
                stamps = [t_s for _, t_s in pieces]
                assert stamps == sorted(stamps)
                assert before_s <= stamps[0] <= stamps[-1] <= loop.time()
                assert link.health() == (LinkState.UP, 0, 0, stamps[-1])

        run(main)

    def test_a_later_sink_replaces_an_earlier_one(self, instrument: Instrument) -> None:
        async def main() -> None:
            async with linked(instrument.path) as (link, pieces):
                other: list[bytes] = []
                link.attach(lambda data, t_s: other.append(data))
                instrument.emit(b"x")
                await until(lambda: other)
                assert pieces == []

        run(main)

    def test_what_the_loop_does_not_take_in_time_is_dropped_oldest_first_and_counted(
        self, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(serial_link, "RECEIVE_DEPTH", 4)
        monkeypatch.setattr(serial_link, "PIECE_BYTES", 1)

        async def main() -> None:
            async with linked(instrument.path) as (link, pieces):
                instrument.emit(b"0123456789")
                pause = threading.Event()
                # The loop is held up until the receive thread has read everything.
                while link.health().overflow < 6:
                    assert not pause.wait(0.001)
                await until(lambda: pieces)
                assert heard(pieces) == b"6789"
                assert link.health().overflow == 6

        run(main)


class TestWriting:
    def test_telegrams_leave_whole_and_in_order(self, instrument: Instrument) -> None:
        async def main() -> None:
            async with linked(instrument.path) as (link, _):
                lease = book().grant("ohmmeter", 1.0)
                link.write(b"*IDN?\n", lease)
                link.write(b"OFF\n")
                assert await instrument.hear(10) == b"*IDN?\nOFF\n"

        run(main)

    def test_a_revoked_lease_is_refused_at_once(self, instrument: Instrument) -> None:
        async def main() -> None:
            async with linked(instrument.path) as (link, _):
                leases = book()
                lease = leases.grant("ohmmeter", 1.0)
                leases.revoke_all()
                with pytest.raises(LeaseRevoked):
                    link.write(b"ON\n", lease)

        run(main)

    def test_after_revoke_only_the_telegram_inside_the_driver_leaves_and_then_off(
        self, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside, let_go = hold_writes(monkeypatch)

        async def main() -> None:
            async with linked(instrument.path) as (link, _):
                leases = book()
                lease = leases.grant("ohmmeter", 1.0)
                for number in range(5):
                    link.write(b"ON%d\n" % number, lease)
                await until(inside.is_set)
                leases.revoke_all()
                link.write(b"OFF\n")
                let_go.set()
                assert await instrument.hear(8) == b"ON0\nOFF\n"
                assert link.revoked_unsent == 4

        run(main)

    def test_what_is_discarded_is_not_sent(self, instrument: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
        inside, let_go = hold_writes(monkeypatch)

        async def main() -> None:
            async with linked(instrument.path) as (link, _):
                link.write(b"inside\n")
                link.write(b"waiting\n")
                await until(inside.is_set)
                link.discard_unsent()
                link.write(b"next\n")
                let_go.set()
                assert await instrument.hear(12) == b"inside\nnext\n"

        run(main)

    def test_a_full_queue_is_said_at_once(self, instrument: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
        _, let_go = hold_writes(monkeypatch)

        async def main() -> None:
            async with linked(instrument.path) as (link, _):
                for _ in range(TRANSMIT_DEPTH):
                    link.write(b"x")
                with pytest.raises(TxFull):
                    link.write(b"y")
                let_go.set()
                assert await instrument.hear(TRANSMIT_DEPTH) == b"x" * TRANSMIT_DEPTH

        run(main)

    def test_a_driver_stuck_in_c_neither_holds_up_close_nor_lets_a_telegram_out_after_it(
        self, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside, let_go = hold_writes(monkeypatch)

        async def main() -> None:
            async with linked(instrument.path) as (link, _):
                link.write(b"in C\n")
                link.write(b"queued\n")
                await until(inside.is_set)
                link.close()
                with pytest.raises(LinkDown):
                    link.write(b"late\n")
                let_go.set()
                assert await instrument.hear(5) == b"in C\n"
                await until(lambda: link._port is None)
                await until(lambda: not any("ohmmeter" in thread.name for thread in threading.enumerate()))

        run(main)


class TestUnplugged:
    def test_is_down_with_a_text_and_comes_back_by_the_same_path(self, instrument: Instrument) -> None:
        async def main() -> None:
            async with linked(instrument.path) as (link, pieces):
                instrument.unplug()
                await until(lambda: link.health().state is LinkState.DOWN)
                with pytest.raises(LinkDown, match=r"ohmmeter: .*start the run anew|ohmmeter: there is no"):
                    link.write(b"*IDN?\n")
                instrument.plug()
                await until(lambda: link.health().state is LinkState.UP)
                instrument.emit(b"back")
                await until(lambda: heard(pieces) == b"back")

        run(main)

    def test_a_lease_from_before_does_not_count_afterwards_and_off_and_a_new_lease_do(
        self, instrument: Instrument
    ) -> None:
        async def main() -> None:
            async with linked(instrument.path) as (link, _):
                leases = book()
                lease = leases.grant("ohmmeter", 1.0)
                await replug(instrument, link)
                with pytest.raises(LinkDown, match="its identity must be checked again: start the run anew"):
                    link.write(b"ON\n", lease)
                link.write(b"OFF\n")
                leases.release(lease)
                link.write(b"*IDN?\n", leases.grant("ohmmeter", 1.0))
                assert await instrument.hear(10) == b"OFF\n*IDN?\n"

        run(main)

    def test_of_what_was_queued_only_off_leaves_afterwards(
        self, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside, let_go = hold_writes(monkeypatch)

        async def main() -> None:
            async with linked(instrument.path) as (link, _):
                lease = book().grant("ohmmeter", 1.0)
                link.write(b"inside\n", lease)
                link.write(b"ON\n", lease)
                link.write(b"OFF\n")
                await until(inside.is_set)
                instrument.unplug()
                await until(lambda: link.health().state is LinkState.DOWN)
                let_go.set()
                instrument.plug()
                assert await instrument.hear(4) == b"OFF\n"
                assert link.revoked_unsent == 2

        run(main)

    def test_a_device_that_takes_no_bytes_is_down(
        self, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def blocked(self: Any, data: bytes) -> int:
            raise serial.SerialTimeoutException("Write timeout")

        monkeypatch.setattr(serial.Serial, "write", blocked)

        async def main() -> None:
            async with linked(instrument.path) as (link, _):
                monkeypatch.setattr(serial_link, "REOPEN_S", 60.0)
                link.write(b"x")
                await until(lambda: link.health().state is LinkState.DOWN)
                with pytest.raises(LinkDown, match="Write timeout"):
                    link.write(b"y")

        run(main)


def hold_writes(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Writes of pyserial hang as in C: the first event tells that one does, the second lets all go on."""
    inside, let_go = threading.Event(), threading.Event()
    write = serial.Serial.write

    def held(self: Any, data: bytes) -> Any:
        inside.set()
        let_go.wait()
        return write(self, data)

    monkeypatch.setattr(serial.Serial, "write", held)
    return inside, let_go


def test_a_device_server_over_tcp_talks_leaves_and_comes_back() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            async with linked(f"socket://127.0.0.1:{port}") as (link, pieces):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"0020" * 1000)
                    await until(lambda: len(heard(pieces)) == 4000)
                    link.write(b"0001\0")
                    connection.settimeout(PATIENCE_S)
                    assert connection.recv(5, socket.MSG_WAITALL) == b"0001\0"
                await until(lambda: link.health().state is LinkState.DOWN)
                connection, _ = server.accept()
                with connection:
                    await until(lambda: link.health().state is LinkState.UP)
                    connection.sendall(b"back")
                    await until(lambda: heard(pieces).endswith(b"back"))
            await until(lambda: not any("ohmmeter" in thread.name for thread in threading.enumerate()))

    run(main)


class TestOpening:
    async def refused(self, url: str, told: str) -> None:
        with pytest.raises(LinkDown, match=told):
            PyserialLink("ohmmeter", url, BAUD, asyncio.get_running_loop())

    def test_a_missing_port_lists_what_is_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(device_files, "BY_ID", tmp_path)
        missing = tmp_path / "usb-hioki"
        run(lambda: self.refused(str(missing), f"ohmmeter: there is no {missing}; nothing is connected"))
        (tmp_path / "usb-keithley").touch()
        (tmp_path / "usb-chroma").touch()
        run(lambda: self.refused(str(missing), "connected under .* are: usb-chroma, usb-keithley"))

    def test_a_port_in_use_names_the_process(self, instrument: Instrument) -> None:
        async def main() -> None:
            async with linked(instrument.path):
                await self.refused(str(instrument.path), rf"in use by .*\(process {os.getpid()}\); end it")

        run(main)

    def test_a_port_without_permission_names_the_group(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(*arguments: Any, **options: Any) -> None:
            raise serial.SerialException(13, "could not open port /dev/ttyUSB0: Permission denied")

        monkeypatch.setattr(serial, "serial_for_url", denied)
        run(lambda: self.refused("/dev/ttyUSB0", "no permission for /dev/ttyUSB0; .*group dialout"))

    def test_a_file_that_is_no_port_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        run(lambda: self.refused(str(tmp_path / "file"), "cannot be opened: Could not configure port"))

    def test_a_server_that_is_off_is_said_so(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        run(lambda: self.refused(f"socket://127.0.0.1:{port}", "no connection to socket://.*check that the device is"))

    @pytest.mark.parametrize("url", ["spy:///dev/ttyUSB0", "rfc2217://127.0.0.1:1", "loop://"])
    def test_other_schemes_are_refused(self, url: str) -> None:
        run(lambda: self.refused(url, "give the path of a serial port, or socket://HOST:PORT"))
