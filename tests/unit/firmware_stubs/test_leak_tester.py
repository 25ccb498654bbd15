"""The leak tester's firmware: the air in a part, what the tester shows of it, and what it refuses."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from bmsctl.analysis.leak import LeakRate, leak_rate
from bmsctl.domain.ports import PressureDecay
from bmsctl.protocols import leak_tester, modbus_rtu
from bmsctl.protocols.leak_tester import Phase, Result, Settings, StatusBlock
from bmsctl.protocols.modbus_rtu import ExceptionCode, ExceptionResponse, Function, Replies, Reply, Request
from firmware_stubs.leak_tester import IDENTITY, Air, LeakTesterStub, Part, Weather
from firmware_stubs.noise import Noise, draw
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial

COOLANT, COOLANT_TEST = Part(4.5e-3, 0.5, 2e5, 1e-12), Settings(1, 2e5, 10.0, 20.0, 30.0)
HOUSING, HOUSING_TEST = Part(50e-3, 6.0, 2e3, 5e-9), Settings(2, 2e3, 10.0, 20.0, 60.0)
STILL = Weather(100e3, 0.0, 0.0, 0.0, 0.0)


class Coupled:
    """Parts by channel; implements Volume."""

    def __init__(self) -> None:
        self.parts = {1: COOLANT, 2: HOUSING}

    def part(self, channel: int) -> Part | None:
        return self.parts.get(channel)


class Master:
    """Asks one register block after the other."""

    def __init__(self, seed: int = 1) -> None:
        self.line = SimSerial("leak_tester")
        self.coupled = Coupled()
        self.stub = LeakTesterStub(self.line.device, self.coupled, seed)
        self._replies = Replies()
        self._heard: list[Reply | ExceptionResponse] = []
        self.line.station.attach(lambda data, t_s: self._heard.extend(self._replies.feed(data)))

    async def ask(self, request: Request) -> Reply | ExceptionResponse:
        self._replies.expect(request)
        self._heard.clear()
        self.line.station.write(modbus_rtu.encode_request(request))
        await asyncio.sleep(0.1)
        (reply,) = self._heard
        return reply

    async def write(self, address: int, *values: int) -> Reply | ExceptionResponse:
        return await self.ask(modbus_rtu.write(leak_tester.UNIT, address, values))

    async def read(self, function: Function, address: int, count: int) -> tuple[int, ...]:
        reply = await self.ask(modbus_rtu.read(leak_tester.UNIT, function, address, count))
        assert isinstance(reply, Reply)
        return reply.values

    async def status(self, first: int = 0) -> StatusBlock:
        await self.write(leak_tester.TAG, 7, first)
        return leak_tester.decode_status(
            await self.read(Function.READ_INPUT, leak_tester.STATUS, leak_tester.STATUS_COUNT)
        )

    async def begin(self, settings: Settings, number: int = 1) -> Reply | ExceptionResponse:
        reply = await self.write(leak_tester.SETTINGS, *leak_tester.encode_settings(settings))
        return await self.write(leak_tester.TEST, number) if isinstance(reply, Reply) else reply


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 1000.0)
    assert loop.errors == []


def weather(seed: int) -> Weather:
    drifts = Noise(seed, "weather").normal(0, 4) * (3.0, 0.02, 1.0, 0.005)
    return Weather(100e3, *drifts.tolist())


def told(seed: int, part: Part, settings: Settings) -> LeakRate:
    """What the analysis makes of one test of a part."""
    gain = 1.0 + 1e-3 * float(draw(seed, "gain").standard_normal())
    noise = Noise(seed, "noise").normal(0, settings.samples)
    samples = Air(part, settings, weather(seed)).samples(0, settings.samples, gain, noise)
    registers = [
        leak_tester.encode_status(StatusBlock(0, 0, Phase.TEST, Result.NONE, 0.0, len(samples), at, tuple(page)))
        for at in range(0, len(samples), leak_tester.PAGE)
        for page in [samples[at : at + leak_tester.PAGE]]
    ]
    shown = np.array([sample for page in registers for sample in leak_tester.decode_status(page).samples])
    decay = PressureDecay(leak_tester.SAMPLE_S * np.arange(len(shown), dtype=np.float64), *shown.T)
    tolerance_pa = 0.1 * abs(settings.pressure_pa)
    return leak_rate(decay, part.volume_m3 * 1e6, settings.settle_s, settings.pressure_pa, tolerance_pa)


@pytest.mark.parametrize(
    ("part", "settings", "mean", "sd", "u95", "limit"),
    [(COOLANT, COOLANT_TEST, 0.5, 0.3, 1.0, 4.0), (HOUSING, HOUSING_TEST, 6.0, 3.0, 5.0, 40.0)],
    ids=["coolant", "housing"],
)
def test_two_hundred_good_parts_read_within_the_uncertainty(
    part: Part, settings: Settings, mean: float, sd: float, u95: float, limit: float
) -> None:
    errors = []
    for seed in range(200):
        leak = max(0.0, mean + sd * float(draw(seed, "leak").standard_normal()))
        found = told(seed, part._replace(leak_cm3_per_min=leak), settings)
        assert not found.undecided
        assert not found.at_least
        assert found.cm3_per_min + u95 < limit
        errors.append(found.cm3_per_min - leak)
    assert abs(float(np.mean(errors))) < 0.1 * u95
    assert 2.0 * float(np.std(errors)) < 0.6 * u95
    assert max(map(abs, errors)) < u95


@pytest.mark.parametrize(
    ("part", "settings", "rates"),
    [(COOLANT, COOLANT_TEST, (6.0, 100.0, 1e4)), (HOUSING, HOUSING_TEST, (50.0, 400.0, 5e3, 1e5, 6e5, 1e6))],
    ids=["coolant", "housing"],
)
def test_a_leak_beyond_the_limit_is_told_however_large(
    part: Part, settings: Settings, rates: tuple[float, ...]
) -> None:
    for rate in rates:
        found = told(1, part._replace(leak_cm3_per_min=rate), settings)
        assert not found.undecided
        assert min(0.6 * rate, 1e4) < found.cm3_per_min < 1.1 * rate


def test_without_leak_and_weather_the_pressure_settles_as_air_and_walls_do() -> None:
    air = Air(COOLANT._replace(leak_cm3_per_min=0.0), COOLANT_TEST, STILL)
    time_s = np.array([10.0, 20.0, 40.0, 60.0])
    absolute_pa, kelvin = 100e3 + air.gauge_pa(time_s), air.temperature_k(time_s)
    assert air.filled_pa == pytest.approx(2e5)
    assert kelvin[0] > kelvin[1] + 1.0
    assert kelvin[-1] == pytest.approx(COOLANT.temperature_k, abs=1e-3)
    grown_m3 = 1e-12 * 2e5 * (1.0 - np.exp(-(time_s - 4.44) / 8.0))
    content = absolute_pa * (4.5e-3 + grown_m3) / kelvin
    assert content == pytest.approx(content[0], rel=1e-6)


def test_a_leak_lets_the_pressure_fall_as_it_should() -> None:
    """40 cm3/min out of 50 l is 40 / 60 * 101325 / 50000 = 1.351 Pa/s at 2 kPa."""
    air = Air(HOUSING._replace(leak_cm3_per_min=40.0, compliance_m3_per_pa=0.0), HOUSING_TEST, STILL)
    first_pa, last_pa = air.gauge_pa(np.array([40.0, 41.0])).tolist()
    assert (first_pa - last_pa) / (first_pa / 2e3) == pytest.approx(1.351, rel=5e-3)


def test_vacuum_is_filled_from_outside() -> None:
    found = told(1, HOUSING._replace(leak_cm3_per_min=40.0), HOUSING_TEST._replace(pressure_pa=-2e3))
    assert found.cm3_per_min == pytest.approx(40.0, abs=5.0)


def test_the_supply_bounds_what_a_large_leak_is_filled_to() -> None:
    """2 l/s hold 1 kPa in front of a leak of 4 l/s at 2 kPa."""
    air = Air(HOUSING._replace(leak_cm3_per_min=240e3), HOUSING_TEST, STILL)
    assert air.filled_pa == pytest.approx(1e3, rel=0.01)


def test_a_test_goes_through_its_phases_and_is_vented() -> None:
    async def main() -> None:
        master = Master()
        assert await master.begin(HOUSING_TEST) == Reply()
        begun_s = asyncio.get_running_loop().time()
        phases: dict[Phase, float] = {}
        while (status := await master.status()).phase is not Phase.VENTED:
            phases.setdefault(status.phase, asyncio.get_running_loop().time() - begun_s)
            await asyncio.sleep(0.3)
        assert list(phases) == [Phase.FILL, Phase.SETTLE, Phase.TEST, Phase.VENT]
        assert list(phases.values()) == pytest.approx([0.2, 10.0, 30.0, 90.0], abs=0.6)
        assert (status.test, status.result, status.taken) == (1, Result.DONE, 161)
        assert abs(master.stub.gauge_pa) <= leak_tester.VENTED_PA

    run(main)


def test_a_sample_is_the_same_however_often_it_is_read() -> None:
    async def main() -> None:
        master = Master()
        await master.begin(HOUSING_TEST)
        await asyncio.sleep(30.0)
        once = await master.status(5)
        await asyncio.sleep(5.0)
        again = await master.status(5)
        assert len(once.samples) == leak_tester.PAGE
        assert again.samples == once.samples
        assert (await master.status(6)).samples[:-1] == once.samples[1:]
        assert len({sample.pressure_pa for sample in once.samples}) > 10

    run(main)


def test_what_is_stopped_vents_and_says_so() -> None:
    async def main() -> None:
        master = Master()
        await master.begin(HOUSING_TEST)
        await asyncio.sleep(40.0)
        assert master.stub.gauge_pa > 1.9e3
        await master.write(leak_tester.TEST, leak_tester.STOP)
        assert (await master.status()).phase is Phase.VENT
        await asyncio.sleep(5.0)
        status = await master.status()
        assert (status.phase, status.result, status.test) == (Phase.VENTED, Result.STOPPED, 0)
        assert abs(master.stub.gauge_pa) < leak_tester.VENTED_PA
        assert await master.begin(HOUSING_TEST) == Reply()

    run(main)


@pytest.mark.parametrize("leak", [None, 1e9])
def test_filling_that_raises_no_pressure_is_given_up(leak: float | None) -> None:
    async def main() -> None:
        master = Master()
        if leak is None:
            del master.coupled.parts[2]
        else:
            master.coupled.parts[2] = HOUSING._replace(leak_cm3_per_min=leak)
        await master.begin(HOUSING_TEST)
        await asyncio.sleep(11.0)
        status = await master.status()
        assert (status.phase, status.result, status.taken) == (Phase.VENTED, Result.NO_PRESSURE, 0)

    run(main)


def test_a_part_that_cannot_be_filled_whole_is_tested_all_the_same() -> None:
    async def main() -> None:
        master = Master()
        master.coupled.parts[2] = HOUSING._replace(leak_cm3_per_min=240e3)
        await master.begin(HOUSING_TEST)
        await asyncio.sleep(95.0)
        status = await master.status()
        assert (status.result, status.taken) == (Result.GROSS_LEAK, 161)

    run(main)


def test_the_same_number_starts_nothing_and_another_one_must_wait() -> None:
    async def main() -> None:
        master = Master()
        await master.begin(HOUSING_TEST)
        await asyncio.sleep(15.0)
        assert await master.write(leak_tester.TEST, 1) == Reply()
        assert (await master.status()).phase is Phase.SETTLE
        assert await master.write(leak_tester.TEST, 2) == ExceptionResponse(ExceptionCode.BUSY)
        assert await master.begin(COOLANT_TEST) == ExceptionResponse(ExceptionCode.BUSY)
        assert (await master.status()).test == 1

    run(main)


@pytest.mark.parametrize(
    "settings",
    [
        HOUSING_TEST._replace(channel=0),
        HOUSING_TEST._replace(channel=5),
        HOUSING_TEST._replace(pressure_pa=7e5),
        HOUSING_TEST._replace(pressure_pa=-9e4),
        HOUSING_TEST._replace(fill_s=0.0),
        HOUSING_TEST._replace(test_s=0.0),
        HOUSING_TEST._replace(test_s=700.0),
    ],
)
def test_settings_that_it_cannot_do_are_refused(settings: Settings) -> None:
    async def main() -> None:
        master = Master()
        assert await master.begin(settings) == ExceptionResponse(ExceptionCode.ILLEGAL_VALUE)
        assert (await master.read(Function.READ_HOLDING, 0, 9)) == (0,) * 9

    run(main)


@pytest.mark.parametrize(
    "request_",
    [
        modbus_rtu.read(1, Function.READ_HOLDING, 0, 10),
        modbus_rtu.read(1, Function.READ_INPUT, 0, 34),
        modbus_rtu.read(1, Function.READ_INPUT, 0x0100, 124),
        modbus_rtu.read(1, Function.READ_INPUT, 0x0200, 1),
        modbus_rtu.write(1, 9, (1,)),
    ],
)
def test_registers_that_there_are_not(request_: Request) -> None:
    async def main() -> None:
        assert await Master().ask(request_) == ExceptionResponse(ExceptionCode.ILLEGAL_ADDRESS)

    run(main)


def test_it_says_who_it_is_with_the_tag_it_was_given() -> None:
    async def main() -> None:
        master = Master()
        await master.write(leak_tester.TAG, 9, 0)
        tag, *text = await master.read(Function.READ_INPUT, leak_tester.IDENTITY, leak_tester.IDENTITY_COUNT)
        assert tag == 9
        assert leak_tester.decode_identity((tag, *text)) == IDENTITY

    run(main)


def test_a_restart_vents_and_forgets() -> None:
    async def main() -> None:
        master = Master()
        await master.begin(HOUSING_TEST)
        await asyncio.sleep(15.0)
        master.stub.restart()
        assert master.stub.gauge_pa == 0.0
        status = await master.status()
        assert (status.test, status.phase, status.result, status.taken) == (0, Phase.VENTED, Result.NONE, 0)

    run(main)


def test_the_same_seed_gives_the_same_status_and_another_one_another() -> None:
    async def status(seed: int) -> StatusBlock:
        master = Master(seed)
        await master.begin(COOLANT_TEST)
        await asyncio.sleep(30.0)
        return await master.status(3)

    same, again, other = (new_loop().run_until(status(seed), 100.0) for seed in (1, 1, 2))
    assert same == again
    assert same != other
    assert not math.isclose(same.samples[0].atmosphere_pa, other.samples[0].atmosphere_pa, abs_tol=1.0)
