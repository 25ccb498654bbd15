"""The label scanner's firmware: how long it takes, and how often it reads nothing or twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bmsctl.protocols import dmcc
from bmsctl.protocols.dmcc import Answer, Command, Status
from firmware_stubs.scanner import ScannerStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial

LABEL = "295B08142R;AS52000000001"


class Terminal:
    """Sends commands and keeps the answers with their times."""

    def __init__(self, label: str | None = LABEL, seed: int = 1) -> None:
        self.line = SimSerial("scanner")
        self.stub = ScannerStub(self.line.device, label, seed)
        self.heard: list[tuple[float, Answer]] = []
        self._telegrams = dmcc.Telegrams()
        self.line.station.attach(self._take)

    def send(self, text: str, number: int = 1) -> None:
        self.line.station.write(dmcc.encode_command(Command(number, text)))

    async def trigger(self, wait_s: float = 0.4) -> list[Answer]:
        """What comes after one trigger."""
        self.heard.clear()
        self.send(dmcc.TRIGGER_ON)
        await asyncio.sleep(wait_s)
        return [answer for _, answer in self.heard]

    def _take(self, data: bytes, t_s: float) -> None:
        for telegram in self._telegrams.feed(data):
            answer = dmcc.decode_answer(telegram)
            assert answer is not None
            self.heard.append((t_s, answer))


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 10_000.0)
    assert loop.errors == []


def test_a_trigger_is_answered_and_then_the_label_read() -> None:
    async def main() -> None:
        terminal = Terminal()
        assert await terminal.trigger() == [Answer(1, Status.OK), Answer(0, Status.READ, LABEL)]
        terminal.stub.label = None
        assert await terminal.trigger() == [Answer(1, Status.OK), Answer(0, Status.READ)]

    run(main)


@pytest.mark.parametrize("how", ["off", "restart"])
def test_a_read_that_is_ended_gives_nothing(how: str) -> None:
    async def main() -> None:
        terminal = Terminal()
        terminal.send(dmcc.TRIGGER_ON)
        await asyncio.sleep(0.02)
        if how == "off":
            terminal.send(dmcc.TRIGGER_OFF, 2)
        else:
            terminal.stub.restart()
        await asyncio.sleep(1.0)
        assert all(answer.status is Status.OK for _, answer in terminal.heard)

    run(main)


def test_what_is_no_command_is_refused() -> None:
    async def main() -> None:
        terminal = Terminal()
        terminal.send("REBOOT", 9)
        terminal.line.station.write(b"||1:7>TRIGGER ONx\r\n")
        await asyncio.sleep(0.5)
        assert [answer for _, answer in terminal.heard] == [
            Answer(9, Status.COMMAND_INVALID),
            Answer(0, Status.CHECKSUM_INCORRECT),
        ]

    run(main)


def test_durations_no_reads_and_double_reads_are_those_of_the_population() -> None:
    async def main() -> None:
        terminal = Terminal()
        taken, blank, double, count = [], 0, 0, 6000
        for _ in range(count):
            asked_s = asyncio.get_running_loop().time()
            results = [answer for answer in await terminal.trigger() if answer.status is Status.READ]
            taken.append(terminal.heard[-1][0] - asked_s)
            blank += not results[0].content
            double += len(results) == 2
        assert 0.080 < min(taken) < 0.090
        assert 0.300 < max(taken) < 0.315
        assert 9 <= blank <= 30
        assert 0 <= double <= 10
        assert blank + double > 9

    run(main)
