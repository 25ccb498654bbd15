"""The insulation tester as a device: raw SCPI on its line, a resistor and a capacitor at its output."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from firmware_stubs.insulation_tester import IDENTITY, InsulationTesterStub
from firmware_stubs.plant import Node
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.insulated_object import InsulatedObject
from tests.support.raw_scpi import RawScpi

CONTACT = ("OSC:CST 1E-8", "OSC:LIM:OPEN 0.3", "OSC:LIM:SHOR 0")
RESISTANCE = ("IR 500", "IR:LIM 2E6", "IR:TIME 1")


class Station:
    """A tester and what it measures."""

    def __init__(self, ohm: float = 2e9, farad: float = 0.2e-6, at_first_v: float = 0.0, seed: int = 1) -> None:
        self.object = InsulatedObject(ohm, farad, at_first_v=at_first_v)
        self.line = SimSerial("insulation_tester")
        self.stub = InsulationTesterStub(self.line.device, self.object, seed)
        self.stub.enabled = True
        self.scpi = RawScpi(self.line)

    async def program(self, *steps: tuple[str, ...]) -> Station:
        await self.scpi.tell(*(f":SAFE:STEP{number}:{item}" for number, step in enumerate(steps, 1) for item in step))
        return self

    async def start(self) -> None:
        await self.scpi.tell(":SAFE:STAR")

    async def done(self) -> None:
        while await self.scpi.ask(":SAFE:STAT?") == "RUNNING":
            pass

    async def results(self, column: str = "MMET") -> list[float]:
        answer = await self.scpi.ask(f":SAFE:RES:ALL:{column}?")
        assert answer is not None
        return [float(text) for text in answer.split(",")]

    async def codes(self) -> str | None:
        return await self.scpi.ask(":SAFE:RES:ALL?")

    def volts(self) -> float:
        return self.object.voltage(asyncio.get_running_loop().time(), Node.TESTER, Node.PE)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def test_it_identifies_itself_and_begins_without_a_program() -> None:
    async def main() -> None:
        station = Station()
        assert await station.scpi.ask("*IDN?") == IDENTITY
        assert await station.scpi.ask(":SAFE:SNUM?;:SAFE:STAT?") == "+0;STOPPED"
        assert await station.scpi.ask(":SAFE:STAR;:SYST:ERR?") == '-221,"Settings conflict"'
        assert station.object.sources == []

    run(main)


def test_a_program_is_written_step_by_step() -> None:
    async def main() -> None:
        station = await Station().program(CONTACT, RESISTANCE)
        ask = station.scpi.ask
        assert await ask(":SAFE:SNUM?") == "+2"
        assert await ask(":SAFE:STEP1:MODE?;:SAFE:STEP2:MODE?") == "OSC;IR"
        assert await ask(":SAFETY:STEP2:IR:LEVEL?;:SAFE:STEP2:IR:LIM:LOW?") == "+5.000000E+02;+2.000000E+06"
        assert await ask(":SAFE:STEP2:DC?;:SYST:ERR?") == '-221,"Settings conflict"'
        assert await ask(":SAFE:STEP4:IR 500;:SYST:ERR?") == '-222,"Data out of range"'
        assert await ask(":SAFE:STEP2:IR 1001;:SYST:ERR?") == '-222,"Data out of range"'
        assert await ask(":SAFE:STEP2:IR five") is None
        assert await ask(":SYST:ERR?") == '-104,"Data type error"'
        await station.scpi.tell(":SAFE:STEP2:DC 800")
        assert await ask(":SAFE:STEP2:MODE?;:SAFE:STEP2:DC?;:SAFE:STEP2:DC:TIME?") == "DC;+8.000000E+02;+3.000000E+00"
        await station.scpi.tell(":SAFE:STEP1:DEL")
        assert await ask(":SAFE:SNUM?;:SAFE:STEP1:MODE?") == "+1;DC"

    run(main)


def test_a_program_cannot_be_changed_while_it_runs() -> None:
    async def main() -> None:
        station = await Station().program(RESISTANCE)
        await station.start()
        assert await station.scpi.ask(":SAFE:STEP1:IR 100;:SYST:ERR?") == '-221,"Settings conflict"'
        assert await station.scpi.ask(":SAFE:STEP1:DEL;:SYST:ERR?") == '-221,"Settings conflict"'
        assert await station.scpi.ask(":SAFE:STAR;:SYST:ERR?") == '-221,"Settings conflict"'

    run(main)


@pytest.mark.parametrize(("ohm", "sd"), [(50e6, 0.02), (500e6, 0.05), (3e9, 0.15)])
def test_its_error_is_systematic_and_that_of_the_decade(ohm: float, sd: float) -> None:
    async def one(seed: int, readings: int) -> list[float]:
        station = await Station(ohm, seed=seed).program(("IR 500", "IR:TIME 0.5", "IR:TIME:FALL 0.3"))
        found = []
        for _ in range(readings):
            await station.start()
            await station.done()
            found += await station.results()
        return found

    def measured(seed: int, readings: int = 1) -> list[float]:
        found: list[float] = new_loop().run_until(one(seed, readings), 600.0)
        return [value / ohm for value in found]

    units = np.array([measured(seed) for seed in range(80)])
    assert units.std() == pytest.approx(sd, rel=0.35)
    assert units.mean() == pytest.approx(1.0, abs=4.0 * sd / 9.0)
    again = np.array(measured(1, 40))
    assert again.std() / again.mean() == pytest.approx(0.005, rel=0.5)


def test_beyond_its_range_it_shows_infinity() -> None:
    async def main() -> None:
        station = await Station(30e9).program(RESISTANCE)
        await station.start()
        await station.done()
        assert await station.scpi.ask(":SAFE:RES:ALL:MMET?") == "+9.900000E+37"
        assert await station.codes() == "116"

    run(main)


def test_a_low_resistance_ends_the_program_and_pulls_the_voltage_down() -> None:
    async def main() -> None:
        station = await Station(100e3).program(CONTACT, RESISTANCE, CONTACT)
        await station.start()
        await station.done()
        assert await station.codes() == "116,50,112"
        assert (await station.results("OMET"))[1] == pytest.approx(250.0, rel=0.05)
        assert (await station.results())[1] == pytest.approx(100e3, rel=0.1)
        assert await station.scpi.ask(":SAFE:RES:ALL:MMET?") is not None
        assert str((await station.results())[2]) == "9.91e+37"

    run(main)


@pytest.mark.parametrize("ohm", [100e3, 10e6, 10e9])
@pytest.mark.parametrize("farad", [5e-9, 20e-9, 0.2e-6, 1e-6])
def test_it_tells_the_capacitance_that_is_connected(ohm: float, farad: float) -> None:
    async def main() -> None:
        station = await Station(ohm, farad).program(CONTACT)
        await station.start()
        await station.done()
        assert (await station.results())[0] == pytest.approx(farad, rel=0.02)
        assert await station.codes() == "116"
        assert await station.results("TIME") == [0.2]

    run(main)


def test_little_capacitance_is_open_and_a_short_is_connected() -> None:
    async def main() -> None:
        for ohm, farad, code in ((1e12, 1e-9, "98"), (0.5, 0.2e-6, "116")):
            station = await Station(ohm, farad).program(CONTACT)
            await station.start()
            await station.done()
            assert await station.codes() == code
        await station.scpi.tell(":SAFE:STEP1:OSC:LIM:SHOR 5")
        await station.start()
        await station.done()
        assert await station.codes() == "97"

    run(main)


def test_an_open_lead_has_no_capacitance_and_perfect_insulation() -> None:
    async def main() -> None:
        station = await Station().program(CONTACT, RESISTANCE)
        station.stub.lead_open = True
        await station.start()
        await station.done()
        assert await station.codes() == "98,112"
        await station.program(RESISTANCE)
        await station.scpi.tell(":SAFE:STEP2:DEL")
        await station.start()
        await station.done()
        assert await station.scpi.ask(":SAFE:RES:ALL:MMET?") == "+9.900000E+37"
        assert station.object.sources == []

    run(main)


def test_a_lead_that_falls_off_leaves_the_object_charged_and_one_put_back_charges_it() -> None:
    async def main() -> None:
        station = await Station().program(RESISTANCE)
        await station.start()
        await asyncio.sleep(0.3)
        station.stub.lead_open = True
        await asyncio.sleep(0.02)
        assert 400.0 < station.volts() < 470.0
        station.stub.lead_open = False
        await asyncio.sleep(0.2)
        assert station.volts() == pytest.approx(500.0, rel=0.01)

    run(main)


def test_it_charges_through_its_resistor_and_discharges_within_three_tenths_of_a_second() -> None:
    async def main() -> None:
        station = await Station().program((*RESISTANCE, "IR:TIME:FALL 0.3"))
        await station.start()
        _, volts, ohm = station.object.sources[0]
        assert (volts, ohm) == (500.0, 100e3)
        await asyncio.sleep(0.9)
        assert station.volts() == pytest.approx(500.0, rel=0.001)
        await asyncio.sleep(0.3)
        assert station.volts() < 10.0
        await station.done()
        assert station.object.sources[-1][1:] == (0.0, 1e6)

    run(main)


@pytest.mark.parametrize("volts", [35.0, -35.0])
def test_a_foreign_voltage_is_refused(volts: float) -> None:
    async def main() -> None:
        station = await Station(farad=1.0, at_first_v=volts).program(RESISTANCE)
        assert (
            await station.scpi.ask(":SAFE:STAR;:SYST:ERR?") == f'-200,"Execution error;Foreign voltage {volts:.0f} V"'
        )
        assert await station.scpi.ask(":SAFE:STAT?") == "STOPPED"
        assert station.object.sources == []

    run(main)


def test_a_voltage_below_thirty_is_none() -> None:
    async def main() -> None:
        station = await Station(farad=1.0, at_first_v=25.0).program(CONTACT)
        await station.start()

    run(main)


def test_without_the_enable_the_output_drops_at_once_and_stays_off() -> None:
    async def main() -> None:
        station = await Station().program(RESISTANCE)
        await station.start()
        await asyncio.sleep(0.5)
        off_s = asyncio.get_running_loop().time()
        station.stub.enabled = False
        assert station.object.sources[-1] == (off_s, 0.0, 10e3)
        await asyncio.sleep(0.3)
        assert station.volts() < 10.0
        assert await station.codes() == "112"
        assert await station.scpi.ask(":SAFE:STAR;:SYST:ERR?") == '-200,"Execution error;Interlock open"'
        station.stub.enabled = True
        assert await station.scpi.ask(":SAFE:STAT?") == "STOPPED"
        await station.start()

    run(main)


def test_stop_ends_a_measurement_and_does_nothing_when_idle() -> None:
    async def main() -> None:
        station = await Station().program(CONTACT, RESISTANCE)
        await station.scpi.ask(":SAFE:STOP")
        assert station.object.sources == []
        await station.start()
        await asyncio.sleep(1.0)
        assert await station.scpi.ask(":SAFE:STOP;:SAFE:STAT?") == "STOPPED"
        await asyncio.sleep(0.3)
        assert station.volts() < 10.0
        assert await station.codes() == "116,113"
        count = len(station.object.sources)
        await station.scpi.ask(":SAFE:STOP")
        await asyncio.sleep(1.0)
        assert len(station.object.sources) == count

    run(main)


def test_a_restart_drops_the_output_and_forgets_the_program() -> None:
    async def main() -> None:
        station = await Station().program(RESISTANCE)
        await station.scpi.ask("*ESR?")
        await station.start()
        await asyncio.sleep(0.5)
        station.stub.restart()
        await asyncio.sleep(0.3)
        assert station.volts() < 10.0
        assert await station.scpi.ask(":SAFE:SNUM?;:SAFE:STAT?;*ESR?") == "+0;STOPPED;128"
        assert await station.scpi.ask(":SAFE:RES:ALL?;:SYST:ERR?") == '-230,"Data corrupt or stale"'

    run(main)
