"""The SCPI interpreter of the stubs obeys IEEE 488.2 where drivers could be careless."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from firmware_stubs.scpi import QUEUE_MAX, Failure, ScpiStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial

LATENCY_S = 0.01


class Bench:
    """A stub with two settings, and what it has answered."""

    def __init__(self, *, error_queue: bool = True) -> None:
        self.line = SimSerial("device", byte_s=0.0)
        self.values = {"volt": 0.0}
        self.answers: list[str] = []
        self.line.station.attach(lambda data, t_s: self.answers.append(data.decode("ascii")))
        self.stub = ScpiStub(
            self.line.device,
            "MAKER,MODEL,SERIAL,1.0",
            {
                ":VOLTage": self._set,
                ":VOLTage?": lambda _: f"{self.values['volt']:g}",
                ":SENSe:CURRent:RANGe?": lambda _: "10",
                ":SENSe:CURRent:NPLCycles?": lambda _: "5",
                ":READ?": self._read,
            },
            latency_s=lambda: LATENCY_S,
            reset=lambda: self.values.update(volt=0.0),
            error_queue=error_queue,
        )

    def _set(self, argument: str) -> None:
        if float(argument) > 20.0:
            raise Failure(-222, "Data out of range")
        self.values["volt"] = float(argument)

    async def _read(self, argument: str) -> str:
        await asyncio.sleep(1.0)
        return f"{self.values['volt']:g}"

    async def ask(self, message: str, within_s: float = 0.1) -> str:
        """All that is answered to a message within a time, terminators taken off."""
        self.answers.clear()
        self.line.station.write(message.encode("ascii") + b"\n")
        await asyncio.sleep(within_s)
        return "|".join(text.removesuffix("\r\n") for text in self.answers)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 60.0)
    assert loop.errors == []


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("*IDN?", "MAKER,MODEL,SERIAL,1.0"),
        (":VOLT 5;:VOLT?", "5"),
        ("volt 5;volt?", "5"),
        ("VOLTage 5;*OPC?;VOLTAGE?", "1;5"),
        (":SENS:CURR:RANG?;NPLC?", "10;5"),
        (":SENSe:CURR:RANGe?;*OPC?;NPLC?", "10;1;5"),
        (":SENS:CURR:RANG?;SENS:CURR:NPLC?", "10"),
        (":SENS:CURR:RANG?;:SENS:CURR:NPLC?", "10;5"),
        (":SENSE:CURREN:RANG?", ""),
        (":VOLT 21;:VOLT?", "0"),
        (":NONE 21;:VOLT?", ""),
        ("*ESR?;*ESE?;*IDN?", "128;0;MAKER,MODEL,SERIAL,1.0"),
        ("*IDN?;*ESR?", "MAKER,MODEL,SERIAL,1.0"),
    ],
)
def test_messages(message: str, answer: str) -> None:
    async def main() -> None:
        assert await Bench().ask(message) == answer

    run(main)


@pytest.mark.parametrize(
    ("message", "events", "entry"),
    [
        (":VOLT 21", 0x10, '-222,"Data out of range"'),
        (":NONE 21", 0x20, '-113,"Undefined header"'),
        ("*IDN?;*OPC?", 0x04, '-440,"Query UNTERMINATED after indefinite response"'),
        ("*ESE 256", 0x10, '-222,"Data out of range"'),
        (":VOLT 20", 0x00, '+0,"No error"'),
    ],
)
def test_errors_are_queued_and_flagged_until_read(message: str, events: int, entry: str) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask("*CLS")
        await bench.ask(message)
        assert await bench.ask("*ESR?;:SYST:ERR?") == f"{events};{entry}"
        assert await bench.ask("*ESR?;:SYSTEM:ERROR?") == '0;+0,"No error"'

    run(main)


def test_a_full_error_queue_ends_with_its_overflow() -> None:
    async def main() -> None:
        bench = Bench()
        for _ in range(QUEUE_MAX + 3):
            await bench.ask(":NONE")
        entries = [await bench.ask(":SYST:ERR?") for _ in range(QUEUE_MAX + 1)]
        assert entries[QUEUE_MAX - 2 :] == ['-113,"Undefined header"', '-350,"Queue overflow"', '+0,"No error"']

    run(main)


def test_power_on_is_told_once_and_again_after_a_restart_that_loses_all() -> None:
    async def main() -> None:
        bench = Bench()
        assert await bench.ask("*ESE 7;*ESR?;*ESE?") == "128;7"
        assert await bench.ask("*ESR?;*ESE?") == "0;7"
        await bench.ask(":VOLT 5;:NONE")
        bench.line.station.write(b":READ?\n:VOL")
        await asyncio.sleep(0.5)
        bench.answers.clear()
        bench.stub.restart()
        assert await bench.ask(":VOLT?;*ESR?;*ESE?;:SYST:ERR?", 2.0) == '0;128;0;+0,"No error"'

    run(main)


def test_messages_are_run_in_turn_however_their_bytes_come() -> None:
    async def main() -> None:
        bench = Bench()
        for byte in b":READ?;*OPC?\n:VOLT 5\n:VOLT?\r\n":
            bench.line.station.write(bytes((byte,)))
        await asyncio.sleep(1.0)
        assert bench.answers == []
        await asyncio.sleep(0.1)
        assert bench.answers == ["0;1\r\n", "5\r\n"]

    run(main)


def test_a_device_without_an_error_queue_does_not_know_the_question() -> None:
    async def main() -> None:
        bench = Bench(error_queue=False)
        await bench.ask("*CLS")
        assert await bench.ask(":SYST:ERR?") == ""
        assert await bench.ask("*ESR?") == "32"

    run(main)
