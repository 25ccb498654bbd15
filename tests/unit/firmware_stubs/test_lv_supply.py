"""The simulated 12 V supply: what it answers to pinned lines, its errors of measurement, its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from firmware_stubs.lv_supply import CURRENT_GAIN_SD, CURRENT_NOISE_A, CURRENT_OFFSET_SD_A, LvSupplyStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.dialogue import MEASURED, dialogues


class Load:
    """Draws 0.8 mA while it is fed, and remembers over which times it was asked."""

    amps = 0.8e-3

    def __init__(self) -> None:
        self.fed = [False]
        self.asked: list[tuple[float, float]] = []

    def mean_supply_current_a(self, from_s: float, to_s: float) -> float:
        self.asked.append((from_s, to_s))
        return self.amps if self.fed[-1] else 0.0


class Bench:
    """A stub and what it has answered."""

    def __init__(self, seed: int = 1) -> None:
        self.line = SimSerial("lv_supply", byte_s=0.0)
        self.load = Load()
        self.stub = LvSupplyStub(self.line.device, self.load, seed, on_output=self.load.fed.append)
        self.answers: list[str] = []
        self.line.station.attach(lambda data, t_s: self.answers.append(data.decode("ascii")))

    async def ask(self, message: str, within_s: float = 0.1) -> str:
        self.answers.clear()
        self.line.station.write(message.encode("ascii") + b"\n")
        await asyncio.sleep(within_s)
        return "|".join(text.removesuffix("\r\n") for text in self.answers)

    async def amps(self) -> float:
        return float(await self.ask(":INIT:ACQ;:TRIG:ACQ;:FETC:CURR?"))


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def test_it_answers_as_the_manual_says() -> None:
    async def main() -> None:
        bench = Bench()
        for name, dialogue in dialogues("lv_supply").items():
            for said, answer in dialogue:
                got = await bench.ask(said, 11.0 if "FETC:CURR" in said else 0.1)
                assert MEASURED.sub("#", got) == MEASURED.sub("#", answer), f"{name}: {said}"
        assert bench.load.fed == [False, True, False]

    run(main)


def test_one_acquisition_is_one_reading_however_often_it_is_fetched() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask(":OUTP ON;:SENS:SWE:POIN 10000;TINT 1E-4;:INIT:ACQ;:TRIG:ACQ")
        assert await bench.ask(":FETC:CURR?", 0.5) == ""
        await asyncio.sleep(1.0)
        again = [await bench.ask(":FETC:CURR?") for _ in range(3)]
        assert len(set(again)) == 1
        assert len(bench.load.asked) == 1
        ((from_s, to_s),) = bench.load.asked
        assert to_s - from_s == pytest.approx(1.0)

    run(main)


def test_nothing_acquired_is_nothing_to_fetch() -> None:
    async def main() -> None:
        bench = Bench()
        assert await bench.ask(":FETC:CURR?;:SYST:ERR?") == '-230,"Data corrupt or stale"'
        assert await bench.ask(":TRIG:ACQ;:SYST:ERR?") == '-211,"Trigger ignored"'
        await bench.ask(":SENS:SWE:POIN 10;:INIT:ACQ;:TRIG:ACQ")
        bench.stub.restart()
        assert await bench.ask(":FETC:CURR?") == ""

    run(main)


def test_errors_of_the_ammeter_are_as_specified() -> None:
    offsets, noises = [], []

    async def main() -> None:
        for seed in range(200):
            bench = Bench(seed)
            await bench.ask(":OUTP ON;:SENS:SWE:POIN 10;:SENS:CURR:RANG 0.01")
            first, second = [await bench.amps() for _ in range(2)]
            offsets.append(first - bench.load.amps)
            noises.append((first - second) / np.sqrt(2.0))

    run(main)
    expected_a = np.hypot(CURRENT_OFFSET_SD_A, CURRENT_NOISE_A)
    expected_a = np.hypot(expected_a, CURRENT_GAIN_SD * Load.amps)
    assert np.std(offsets) == pytest.approx(expected_a, rel=0.2)
    assert np.std(noises) == pytest.approx(CURRENT_NOISE_A, rel=0.2)


def test_ranges_over_range_and_current_limit() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask(":VOLT 12;:CURR 2;:OUTP ON;:SENS:SWE:POIN 10;:SENS:CURR:RANG 0.003")
        assert await bench.ask(":SENS:CURR:RANG?") == "+1.000000E-02"
        bench.load.amps = 0.05
        assert await bench.ask(":MEAS:CURR?") == "+9.900000E+37"
        assert float(await bench.ask(":SENS:CURR:RANG 0.02;:MEAS:CURR?")) == pytest.approx(0.05, rel=0.03)
        bench.load.amps = 20.0
        assert float(await bench.ask(":MEAS:CURR?")) == pytest.approx(2.0, rel=0.03)
        assert float(await bench.ask(":MEAS:VOLT?")) == pytest.approx(1.2, rel=0.01)
        for command in (":VOLT 25", ":CURR -1", ":SENS:CURR:RANG 11", ":SENS:SWE:POIN 0"):
            assert await bench.ask(f"{command};:SYST:ERR?") == '-222,"Data out of range"'
        assert await bench.ask(":VOLT twelve") == ""

    run(main)


def test_a_reset_switches_the_output_off() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask(":VOLT 12;:OUTP 1;:OUTP 1")
        bench.stub.restart()
        assert bench.load.fed == [False, True, False]
        assert not bench.stub.output
        assert await bench.ask(":VOLT?;:OUTP?") == "+0.000000E+00;0"

    run(main)
