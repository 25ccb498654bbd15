"""The simulated battery tester: what it answers to pinned lines, its formats, its errors of measurement, contacts."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from firmware_stubs.battery_tester import (
    NOISE_DIGITS,
    RESISTANCE_DIGITS,
    RESISTANCE_RANGES,
    RESISTANCE_SHARE,
    VOLTAGE_DIGITS,
    VOLTAGE_RANGES,
    VOLTAGE_SHARE,
    BatteryTesterStub,
    Range,
)
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/battery_tester/dialogue.toml").read_text())
SENTINELS = GOLDEN["sentinels"]
SETUP = ":INIT:CONT OFF;:FUNC RV;:RES:RANG 0.03;:VOLT:RANG 100"
MODULE = (87.6, 8.6e-3)
DIGITS = re.compile(r"\d(?=[ \d.]*E)")


class Frame:
    """A contact frame on a module; `touched`: its voltage and resistance, None for nothing."""

    def __init__(self) -> None:
        self.touched: tuple[float, float] | None = MODULE

    def terminal(self) -> tuple[float, float] | None:
        return self.touched


class Bench:
    """A stub and what it has answered."""

    def __init__(self, seed: int = 1) -> None:
        self.line = SimSerial("battery_tester", byte_s=0.0)
        self.frame = Frame()
        self.stub = BatteryTesterStub(self.line.device, self.frame, seed)
        self.answers: list[str] = []
        self.line.station.attach(lambda data, t_s: self.answers.append(data.decode("ascii")))

    async def ask(self, message: str, within_s: float = 0.4) -> str:
        self.answers.clear()
        self.line.station.write(message.encode("ascii") + b"\n")
        await asyncio.sleep(within_s)
        return "|".join(text.removesuffix("\r\n") for text in self.answers)

    async def read(self) -> tuple[float, float]:
        resistance, voltage = (await self.ask(":READ?")).split(",")
        return float(voltage), float(resistance)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 6000.0)
    assert loop.errors == []


@pytest.mark.parametrize(
    ("names", "touched"),
    [
        (("identify", "first_measure"), (87.6, 8.6e-3)),
        (("first_measure", "reversed"), (-87.6, 8.6e-3)),
        (("first_measure", "stack"), (350.4, 35e-3)),
    ],
)
def test_it_answers_as_the_manual_says(names: tuple[str, ...], touched: tuple[float, float]) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask("*CLS")
        for name in names:
            bench.frame.touched = touched if name == names[-1] else MODULE
            for said, answer in GOLDEN[name]:
                got = await bench.ask(said)
                assert DIGITS.sub("#", got) == DIGITS.sub("#", answer), f"{name}: {said}"

    run(main)


@pytest.mark.parametrize(("rate", "takes_s"), [("SLOW", 0.253), ("MEDIUM", 0.070), ("FAST", 0.024)])
def test_a_measurement_takes_its_time(rate: str, takes_s: float) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask(f"{SETUP};:SAMP:RATE {rate}")
        assert await bench.ask(":READ?", takes_s + 0.004) == ""
        await asyncio.sleep(0.002)
        assert len(bench.answers) == 1

    run(main)


def test_errors_of_the_tester_are_within_what_the_manual_states() -> None:
    errors, noises = [], []

    async def main() -> None:
        for seed in range(200):
            bench = Bench(seed)
            await bench.ask(SETUP)
            first, second = np.array(await bench.read()), np.array(await bench.read())
            errors.append((first + second) / 2.0 - MODULE)
            noises.append((first - second) / np.sqrt(2.0))

    run(main)
    digit = np.array([1e-4, 1e-6])
    share = np.array([VOLTAGE_SHARE, RESISTANCE_SHARE]) * MODULE
    offset = np.array([VOLTAGE_DIGITS, RESISTANCE_DIGITS]) * digit
    assert np.all(np.abs(errors) <= share + offset + 3.0 * NOISE_DIGITS * digit)
    assert np.std(errors, axis=0) == pytest.approx(np.hypot(share, offset) / 2.0, rel=0.2)
    assert np.std(noises, axis=0) == pytest.approx(np.hypot(NOISE_DIGITS, 0.4) * digit, rel=0.2)


def test_over_range_and_no_contact_are_written_as_the_manual_says() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask(SETUP)
        assert await bench.ask(":FETC?") != SENTINELS["no_contact"], "those of the ranges after switching on"
        bench.frame.touched = None
        assert await bench.ask(":READ?") == SENTINELS["no_contact"]
        assert await bench.ask(":FETC?") == SENTINELS["no_contact"]
        over_range = {(100.1, 8.6e-3): "voltage_over_range", (-100.1, 8.6e-3): "voltage_below_range"}
        for touched, name in over_range.items():
            bench.frame.touched = touched
            assert (await bench.ask(":READ?")).split(",")[1] == SENTINELS[name].split(",")[1]
        for ohms in (0.032, float("inf")):
            bench.frame.touched = (87.6, ohms)
            assert (await bench.ask(":READ?")).split(",")[0] == SENTINELS["resistance_over_range"].split(",")[0]

    run(main)


@pytest.mark.parametrize(
    ("command", "end", "over", "fault"),
    [
        (":RES:RANG 0.003", "3.0000E-3", " 10.0000E+8", " 10.0000E+9"),
        (":RES:RANG 0.3", "300.00E-3", " 1000.00E+6", " 1000.00E+7"),
        (":RES:RANG 3", "3.0000E+0", " 10.0000E+8", " 10.0000E+9"),
        (":RES:RANG 3000", "3.0000E+3", " 10.0000E+8", " 10.0000E+9"),
        (":VOLT:RANG 10", "10.00000E+0", " 1.00000E+9", " 1.00000E+10"),
        (":VOLT:RANG 1000", "1000.000E+0", " 100.000E+7", " 100.000E+8"),
    ],
)
def test_each_range_has_its_digits(command: str, end: str, over: str, fault: str) -> None:
    async def main() -> None:
        bench = Bench()
        place = 0 if command.startswith(":RES") else 1
        assert await bench.ask(f"{command};{command.split()[0]}?") == end
        bench.frame.touched = (2e3, 1e6)
        assert (await bench.ask(":READ?")).split(",")[place] == over
        bench.frame.touched = None
        assert (await bench.ask(":READ?")).split(",")[place] == fault

    run(main)


@pytest.mark.parametrize("chosen", [*RESISTANCE_RANGES, *VOLTAGE_RANGES], ids=lambda chosen: f"{chosen.end:g}")
@pytest.mark.parametrize("share", [0.001, 0.1, 0.333333, 0.99])
def test_what_is_shown_is_the_value_to_the_last_digit(chosen: Range, share: float) -> None:
    text = chosen.shown(-share * chosen.end)
    assert text.startswith("-")
    assert float(text[1:]) == pytest.approx(share * chosen.end, abs=0.51 * chosen.digit)


@pytest.mark.parametrize(
    ("command", "events"),
    [(":VOLT:RANG 1001", 16), (":RES:RANG -1", 16), (":RES:RANG x", 32), (":SAMP:RATE SLOW2", 16), (":FUNC X", 16)],
)
def test_what_it_cannot_is_an_event_and_has_no_queue(command: str, events: int) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask("*CLS")
        assert await bench.ask(command) == ""
        assert await bench.ask("*ESR?") == str(events)
        assert await bench.ask(":SYST:ERR?") == ""

    run(main)


def test_a_restart_loses_its_ranges() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask(SETUP)
        bench.stub.restart()
        assert await bench.ask(":RES:RANG?;:VOLT:RANG?;:INIT:CONT?;*ESR?") == "3.0000E+3;1000.000E+0;ON;128"

    run(main)
