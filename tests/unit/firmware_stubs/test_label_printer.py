"""The label printer's firmware: what it prints, when it stops, and what it says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bmsctl.protocols import zpl
from bmsctl.protocols.zpl import HostStatus, Label, Trouble
from firmware_stubs.label_printer import LABEL_S, LabelPrinterStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial

ONE, TWO = Label("P;1", ("one",)), Label("P;2", ("two",))


class Terminal:
    """Sends formats and asks for the status."""

    def __init__(self) -> None:
        self.line = SimSerial("label_printer")
        self.stub = LabelPrinterStub(self.line.device, 1)
        self.heard: list[str] = []
        self._answers = zpl.Answers()
        self.line.station.attach(lambda data, t_s: self.heard.extend(self._answers.feed(data)))

    async def status(self) -> HostStatus:
        self.heard.clear()
        self.line.station.write(zpl.STATUS)
        await asyncio.sleep(0.05)
        first, second, third = self.heard
        return zpl.decode_status(first, second, third)

    async def send(self, *labels: Label) -> None:
        for label in labels:
            self.line.station.write(zpl.encode_label(label))
        await asyncio.sleep(0.05)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 60.0)
    assert loop.errors == []


def test_labels_are_printed_one_after_another_and_counted() -> None:
    async def main() -> None:
        terminal = Terminal()
        assert (await terminal.status()).idle
        counted = terminal.stub.count
        await terminal.send(ONE, TWO)
        assert await terminal.status() == HostStatus(Trouble(0), 1, False, 1)
        await asyncio.sleep(LABEL_S)
        assert terminal.stub.printed == [ONE]
        assert await terminal.status() == HostStatus(Trouble(0), 0, False, 1)
        await asyncio.sleep(LABEL_S)
        assert terminal.stub.printed == [ONE, TWO]
        assert (await terminal.status()).idle
        terminal.line.station.write(zpl.LABEL_COUNT)
        await asyncio.sleep(0.05)
        assert zpl.decode_count(terminal.heard[-1]) == counted + 2

    run(main)


@pytest.mark.parametrize("trouble", list(Trouble))
def test_a_label_interrupted_by_trouble_is_printed_anew(trouble: Trouble) -> None:
    async def main() -> None:
        terminal = Terminal()
        await terminal.send(ONE)
        await asyncio.sleep(LABEL_S / 2)
        terminal.stub.trouble = trouble
        await asyncio.sleep(2 * LABEL_S)
        assert terminal.stub.printed == []
        assert (await terminal.status()).trouble == trouble
        assert (await terminal.status()).formats == 1
        terminal.stub.trouble = Trouble(0)
        await asyncio.sleep(1.1 * LABEL_S)
        assert terminal.stub.printed == [ONE]

    run(main)


@pytest.mark.parametrize("how", ["cancel", "restart"])
def test_what_is_cancelled_is_not_printed(how: str) -> None:
    async def main() -> None:
        terminal = Terminal()
        await terminal.send(ONE, TWO)
        if how == "cancel":
            terminal.line.station.write(zpl.CANCEL_ALL)
        else:
            terminal.stub.restart()
        await asyncio.sleep(3 * LABEL_S)
        assert terminal.stub.printed == []
        assert (await terminal.status()).idle
        await terminal.send(TWO)
        await asyncio.sleep(1.1 * LABEL_S)
        assert terminal.stub.printed == [TWO]

    run(main)


def test_a_status_in_the_middle_of_a_format_is_answered_and_the_format_printed() -> None:
    async def main() -> None:
        terminal = Terminal()
        encoded = zpl.encode_label(ONE)
        terminal.line.station.write(encoded[:40])
        await asyncio.sleep(0.05)
        assert await terminal.status() == HostStatus(Trouble(0), 0, True, 0)
        terminal.line.station.write(encoded[40:])
        await asyncio.sleep(1.1 * LABEL_S)
        assert terminal.stub.printed == [ONE]

    run(main)


def test_any_pieces_print_the_same() -> None:
    async def main() -> None:
        terminal = Terminal()
        stream = zpl.encode_label(ONE) + zpl.LABEL_COUNT + b"\xff" + zpl.encode_label(TWO) + b"^XA^FS^XZ"
        for byte in stream:
            terminal.line.station.write(bytes((byte,)))
        await asyncio.sleep(4 * LABEL_S)
        assert terminal.stub.printed == [ONE, TWO, None]
        assert len(terminal.heard) == 1

    run(main)
