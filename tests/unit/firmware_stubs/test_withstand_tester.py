"""The withstand tester as a device: raw SCPI on its line, something that may break down at its output."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from firmware_stubs.plant import Node
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from firmware_stubs.withstand_tester import IDENTITY, WithstandTesterStub
from tests.support.insulated_object import InsulatedObject
from tests.support.raw_scpi import RawScpi

WITHSTAND = ("DC 2250", "DC:LIM 0.005", "DC:TIME:RAMP 4.5", "DC:TIME 2", "DC:TIME:FALL 0.3")


class Station:
    """A tester and what it tests."""

    def __init__(self, ohm: float = 1e9, breakdown_v: float = math.inf, seed: int = 1) -> None:
        self.object = InsulatedObject(ohm, breakdown_v=breakdown_v)
        self.line = SimSerial("withstand_tester")
        self.stub = WithstandTesterStub(self.line.device, self.object, seed)
        self.stub.enabled = True
        self.scpi = RawScpi(self.line)

    async def started(self, *items: str, judge_ramp: bool = True) -> Station:
        await self.scpi.tell(f":SAFE:PRES:RJUD {'ON' if judge_ramp else 'OFF'}")
        await self.scpi.tell(*(f":SAFE:STEP1:{item}" for item in items), ":SAFE:STAR")
        return self

    async def done(self) -> Station:
        while await self.scpi.ask(":SAFE:STAT?") == "RUNNING":
            pass
        return self

    async def result(self, column: str) -> float:
        answer = await self.scpi.ask(f":SAFE:RES:ALL:{column}?")
        assert answer is not None
        return float(answer)

    async def code(self) -> str | None:
        return await self.scpi.ask(":SAFE:RES:ALL?")

    def volts(self) -> float:
        return self.object.voltage(asyncio.get_running_loop().time(), Node.TESTER, Node.PE)

    @property
    def begun_s(self) -> float:
        """When the output began to rise."""
        return self.object.sources[0][0]


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def test_it_identifies_itself_and_has_no_resistance_mode() -> None:
    async def main() -> None:
        station = Station()
        assert await station.scpi.ask("*IDN?") == IDENTITY
        assert await station.scpi.ask(":SAFE:STEP1:IR 500") is None
        assert await station.scpi.ask(":SYST:ERR?") == '-113,"Undefined header"'

    run(main)


def test_the_voltage_rises_in_steps_of_a_tenth_of_a_second_holds_and_falls() -> None:
    async def main() -> None:
        station = await Station().started(*WITHSTAND)
        await station.done()
        told = [(round(t_s - station.begun_s, 3), volts) for t_s, volts, _ in station.object.sources]
        rise = [volts for t_s, volts in told if t_s < 4.45]
        assert len(rise) == 45
        assert np.diff(rise) == pytest.approx(50.0, abs=2.0)
        for after_s, expected_v in ((1.0 - 1e-3, 500.0), (4.5 - 1e-3, 2250.0), (6.5 - 1e-3, 2250.0)):
            assert station.object.voltage(station.begun_s + after_s, Node.TESTER, Node.PE) == pytest.approx(
                expected_v, abs=2.0
            )
        assert station.object.voltage(station.begun_s + 6.8, Node.TESTER, Node.PE) < 10.0
        assert told[-1] == (6.8, 0.0)
        assert (await station.result("TIME:RAMP"), await station.result("TIME")) == (4.5, 2.0)
        assert await station.code() == "116"

    run(main)


def test_a_leak_does_not_pull_the_voltage_down() -> None:
    async def main() -> None:
        station = await Station(5e6).started(*WITHSTAND)
        await asyncio.sleep(station.begun_s + 6.4 - asyncio.get_running_loop().time())
        assert station.volts() == pytest.approx(2250.0, rel=0.005)
        await station.done()
        assert await station.result("MMET") == pytest.approx(450e-6, rel=0.05)

    run(main)


def test_its_meters_are_off_by_what_is_specified() -> None:
    async def one(seed: int, ohm: float) -> tuple[float, float]:
        station = await Station(ohm, seed=seed).started("DC 2000", "DC:LIM 0.01", "DC:TIME:RAMP 0.5", "DC:TIME 0.3")
        await station.done()
        return await station.result("OMET"), await station.result("MMET")

    def found(ohm: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.array([new_loop().run_until(one(seed, ohm), 60.0) for seed in range(80)])

    volts, amps = found(2e6).T
    assert volts.std() / 2000.0 == pytest.approx(math.hypot(0.01, 0.005), rel=0.3)
    assert amps.std() / 1e-3 == pytest.approx(math.hypot(0.01, 0.005), rel=0.3)
    assert volts.mean() == pytest.approx(2000.0, rel=0.005)
    small = found(2e8)[:, 1]
    assert small.std() == pytest.approx(1e-6, rel=0.3)
    assert small.min() >= 0.0


@pytest.mark.parametrize("breakdown_v", [700.0, 1500.0, 2240.0])
def test_a_breakdown_trips_within_two_milliseconds_and_is_told(breakdown_v: float) -> None:
    async def main() -> None:
        station = await Station(breakdown_v=breakdown_v).started(*WITHSTAND)
        await station.done()
        struck_s = station.object.struck_s()
        assert struck_s is not None
        off_s = next(t_s for t_s, volts, _ in station.object.sources if t_s > struck_s)
        assert off_s - struck_s <= 0.0021
        assert await station.code() == "33"
        assert await station.result("OMET") == pytest.approx(breakdown_v, rel=0.04)
        assert await station.result("MMET") > 0.005
        assert await station.result("TIME:RAMP") == pytest.approx(struck_s - station.begun_s, abs=0.11)
        assert await station.result("TIME") == 0.0
        assert station.volts() < 10.0
        assert station.object.sources[-1][1:] == (0.0, 1e6)

    run(main)


def test_unless_the_ramp_is_judged_a_breakdown_counts_from_the_hold_on() -> None:
    async def main() -> None:
        station = await Station(breakdown_v=1500.0).started(*WITHSTAND, judge_ramp=False)
        await station.done()
        assert await station.code() == "33"
        assert await station.result("TIME:RAMP") == 4.5

    run(main)


def test_less_than_the_lower_limit_fails() -> None:
    async def main() -> None:
        station = await Station(1e9).started(*WITHSTAND, "DC:LIM:LOW 0.0001")
        await station.done()
        assert await station.code() == "34"

    run(main)


def test_it_starts_nothing_until_it_is_enabled() -> None:
    async def main() -> None:
        line, tested = SimSerial("withstand_tester"), InsulatedObject(1e9)
        stub = WithstandTesterStub(line.device, tested, 1)
        scpi = RawScpi(line)
        await scpi.tell(*(f":SAFE:STEP1:{item}" for item in WITHSTAND))
        assert await scpi.ask(":SAFE:STAR;:SYST:ERR?") == '-200,"Execution error;Interlock open"'
        assert tested.sources == []
        stub.enabled = True
        await scpi.tell(":SAFE:STAR")
        assert stub.running

    run(main)


def test_without_the_enable_the_output_drops_at_once() -> None:
    async def main() -> None:
        station = await Station().started(*WITHSTAND)
        await asyncio.sleep(3.0)
        assert station.volts() > 1400.0
        station.stub.enabled = False
        assert station.object.sources[-1] == (asyncio.get_running_loop().time(), 0.0, 10e3)
        await asyncio.sleep(0.3)
        assert station.volts() < 10.0
        assert await station.code() == "112"

    run(main)


def test_stop_ends_a_test_and_discharges() -> None:
    async def main() -> None:
        station = await Station().started(*WITHSTAND)
        await asyncio.sleep(5.0)
        await station.scpi.ask(":SAFE:STOP")
        await asyncio.sleep(0.3)
        assert station.volts() < 10.0
        assert await station.code() == "113"

    run(main)


def test_the_same_seed_gives_the_same_bytes() -> None:
    async def one() -> str | None:
        station = await Station(20e6, seed=7).started(*WITHSTAND)
        await station.done()
        return await station.scpi.ask(":SAFE:RES:ALL:OMET?;:SAFE:RES:ALL:MMET?")

    assert new_loop().run_until(one(), 60.0) == new_loop().run_until(one(), 60.0)
