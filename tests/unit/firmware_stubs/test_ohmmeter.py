"""The simulated ohmmeter: what it answers to pinned lines, its errors of measurement, thermal EMF and contacts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from firmware_stubs.ohmmeter import (
    EMF_V,
    GAIN_SD,
    NOISE_SHARE,
    OFFSET_SD_SHARE,
    TEMPERATURE_EVERY_S,
    TEMPERATURE_NOISE_K,
    TEMPERATURE_SD_K,
    OhmmeterStub,
)
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.dialogue import MEASURED, dialogues

SETUP = ":INIT:CONT OFF;:SENS:RES:RANG 0.1;:SENS:RES:OVC ON;:SAMP:RATE SLOW2;:SENS:CH 1"
TEMPERATURE = re.compile(r" \d\d\.\d\b")


class Straps:
    """Bonding straps of a pack."""

    def __init__(self) -> None:
        self.ohms = [4.0e-3, 0.11, 4.0e-3, 0.4]

    @property
    def bonding_points(self) -> int:
        return len(self.ohms)

    def bonding_ohm(self, point: int) -> float:
        return self.ohms[point - 1]


class Bench:
    """A stub and what it has answered."""

    def __init__(self, seed: int = 1) -> None:
        self.line = SimSerial("ohmmeter", byte_s=0.0)
        self.straps = Straps()
        self.stub = OhmmeterStub(self.line.device, self.straps, seed)
        self.answers: list[str] = []
        self.line.station.attach(lambda data, t_s: self.answers.append(data.decode("ascii")))

    async def ask(self, message: str, within_s: float = 0.6) -> str:
        self.answers.clear()
        self.line.station.write(message.encode("ascii") + b"\n")
        await asyncio.sleep(within_s)
        return "|".join(text.removesuffix("\r\n") for text in self.answers)


def _masked(answer: str) -> str:
    """An answer without what is measured."""
    return TEMPERATURE.sub("#", MEASURED.sub("#", answer))


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 6000.0)
    assert loop.errors == []


def test_it_answers_as_the_manual_says() -> None:
    async def main() -> None:
        bench = Bench()
        bench.stub.temperature_c = lambda: 23.4
        for name, dialogue in dialogues("ohmmeter").items():
            if name == "no_probe":
                bench.stub.temperature_c = lambda: None
            for said, answer in dialogue:
                got = await bench.ask(said)
                assert _masked(got) == _masked(answer), f"{name}: {said}"

    run(main)


@pytest.mark.parametrize(
    ("speed", "compensation", "takes_s"),
    [("SLOW2", "ON", 0.44), ("SLOW2", "OFF", 0.22), ("FAST", "ON", 0.0044), ("MED", "OFF", 0.022)],
)
def test_a_measurement_takes_its_time(speed: str, compensation: str, takes_s: float) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask(f"{SETUP};:SAMP:RATE {speed};:SENS:RES:OVC {compensation}")
        assert await bench.ask(":READ?", takes_s + 0.004) == ""
        await asyncio.sleep(0.002)
        assert len(bench.answers) == 1

    run(main)


def test_errors_of_the_meter_are_as_specified() -> None:
    offsets, noises = [], []

    async def main() -> None:
        for seed in range(200):
            bench = Bench(seed)
            await bench.ask(SETUP)
            first, second = [float(await bench.ask(":READ?")) for _ in range(2)]
            offsets.append(first - bench.straps.ohms[0])
            noises.append((first - second) / np.sqrt(2.0))

    run(main)
    assert np.std(offsets) == pytest.approx(np.hypot(GAIN_SD * 4e-3, OFFSET_SD_SHARE * 0.1), rel=0.2)
    assert np.std(noises) == pytest.approx(NOISE_SHARE * 0.1, rel=0.2)


def test_a_thermal_emf_shows_unless_the_current_is_reversed() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask(SETUP)
        compensated = float(await bench.ask(":READ?"))
        plain = float(await bench.ask(":SENS:RES:OVC OFF;:READ?"))
        assert EMF_V[0] - 3e-6 < abs(plain - compensated) < EMF_V[1] + 3e-6
        await bench.ask(":SENS:RES:RANG 1;:SENS:RES:OVC ON")
        compensated = float(await bench.ask(":READ?"))
        plain = float(await bench.ask(":SENS:RES:OVC OFF;:READ?"))
        assert 10 * EMF_V[0] - 30e-6 < abs(plain - compensated) < 10 * EMF_V[1] + 30e-6

    run(main)


def test_over_range_faults_and_resolution() -> None:
    async def main() -> None:
        bench = Bench()
        assert await bench.ask(":FETC?") == " 9.9100E+37"
        await bench.ask(SETUP)
        assert MEASURED.fullmatch(await bench.ask(":READ?"))
        assert len(await bench.ask(":FETC?")) == len(" 4.0123E-03")
        assert float(await bench.ask(":SENS:CH 2;:READ?")) == pytest.approx(0.11, rel=5e-3)
        assert await bench.ask(":SENS:CH 4;:READ?") == " 9.9000E+37"
        bench.stub.lost_contacts.add(4)
        assert await bench.ask(":READ?") == " 9.9100E+37"
        assert await bench.ask(":SENS:CH 5;:READ?") == " 9.9100E+37"
        bench.straps.ohms[0] = -1.0
        assert await bench.ask(":SENS:CH 1;:READ?") == "-9.9000E+37"

    run(main)


@pytest.mark.parametrize(
    ("command", "events"),
    [(":SENS:CH 0", 16), (":SENS:CH 21", 16), (":SENS:RES:RANG 1E9", 16), (":SAMP:RATE SLOW3", 16), (":SENS:CH x", 32)],
)
def test_what_it_cannot_is_an_event_and_has_no_queue(command: str, events: int) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask("*CLS")
        assert await bench.ask(command) == ""
        assert await bench.ask("*ESR?") == str(events)
        assert await bench.ask(":SYST:ERR?") == ""

    run(main)


def test_a_temperature_is_that_of_the_probe_with_the_units_error() -> None:
    errors, noises = [], []

    async def main() -> None:
        for seed in range(200):
            bench = Bench(seed)
            bench.stub.temperature_c = lambda: 250.0
            first = float(await bench.ask(":MEAS:TEMP?"))
            await asyncio.sleep(TEMPERATURE_EVERY_S)
            second = float(await bench.ask(":MEAS:TEMP?"))
            errors.append((first + second) / 2.0 - 250.0)
            noises.append((first - second) / np.sqrt(2.0))

    run(main)
    rounding_k = 0.1 / np.sqrt(12.0)
    noise_k = np.hypot(TEMPERATURE_NOISE_K, rounding_k)
    assert np.std(errors) == pytest.approx(np.hypot(TEMPERATURE_SD_K, noise_k / np.sqrt(2.0)), rel=0.2)
    assert np.std(noises) == pytest.approx(noise_k, rel=0.2)


def test_a_restart_loses_range_and_channel() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.ask(SETUP)
        bench.stub.restart()
        assert await bench.ask(":SENS:RES:RANG?;:SENS:RES:OVC?;:INIT:CONT?;*ESR?") == "1.0000E+03;OFF;ON;128"

    run(main)
