"""The battery tester's driver: pinned bytes, and against the stub with everything that goes wrong on a serial line."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import BatteryReading
from bmsctl.domain.units import Ohm, Volt
from bmsctl.drivers.battery_tester import DEVICE, ScpiBatteryTester
from bmsctl.errors import DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked, ReplyInvalid
from firmware_stubs.battery_tester import BatteryTesterStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.dialogue import Player
from tests.support.serial_faults import (
    Fault,
    Tamper,
    damages,
    during,
    edited,
    every_fault,
    every_malformed_number,
    frozen,
    garble_commands,
    number_reads,
    scaled,
    suffer,
    suffer_unplug,
    when,
)

GOLDEN = tomllib.loads((Path(__file__).parents[2] / f"golden/{DEVICE}/dialogue.toml").read_text())
SENTINELS = GOLDEN["sentinels"]
VOLTAGE_RANGE, RESISTANCE_RANGE = Volt(100.0), Ohm(0.03)
TRUE_V, TRUE_OHM = 87.6, 8.6e-3

RESISTANCE = re.compile(rb" *\d+\.\d+E-3(?=,)")
VOLTAGE = re.compile(rb"(?<=,)[ -] *\d+\.\d+E\+0")


class Frame:
    """A contact frame on a module; `touched`: its voltage and resistance, None for nothing."""

    def __init__(self) -> None:
        self.touched: tuple[float, float] | None = (TRUE_V, TRUE_OHM)

    def terminal(self) -> tuple[float, float] | None:
        return self.touched


class Bench:
    """Driver and stub on one line."""

    def __init__(self, seed: int = 1) -> None:
        self.line = SimSerial(DEVICE)
        self.frame = Frame()
        self.stub = BatteryTesterStub(self.line.device, self.frame, seed)
        self.driver = ScpiBatteryTester(self.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant(DEVICE, 1.0)

    async def begin(self) -> Bench:
        await self.driver.identify(self.lease)
        await self.measure()
        return self

    async def measure(self) -> BatteryReading:
        return await self.driver.measure(self.lease, VOLTAGE_RANGE, RESISTANCE_RANGE)


def right(reading: BatteryReading) -> bool:
    within_v = reading.voltage == pytest.approx(TRUE_V, rel=2e-4, abs=2e-3)
    return within_v and reading.resistance == pytest.approx(TRUE_OHM, rel=6e-3, abs=15e-6)


def is_reading(answer: bytes) -> bool:
    """Whether an answer holds measured values and, again, their copy."""
    fields = answer.split(b";")
    return len(fields) > 6 and fields[0] == fields[1]


def values_read(text: str) -> Tamper:
    """Both copies of a reading are this."""
    return when(is_reading, edited(lambda data: b";".join([text.encode("ascii")] * 2 + data.split(b";")[2:])))


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def test_the_bytes_are_those_of_the_manual() -> None:
    async def main() -> None:
        line = SimSerial(DEVICE)
        player = Player(line)
        driver = ScpiBatteryTester(line.station)
        lease = LeaseBook(asyncio.get_running_loop().time).grant(DEVICE, 1.0)
        player.play(GOLDEN["identify"])
        assert await driver.identify(lease) == "HIOKI,BT3564,200612345,V1.07"
        assert player.finished
        driver = ScpiBatteryTester(line.station)
        player.play(GOLDEN["first_measure"], GOLDEN["reversed"], GOLDEN["stack"])
        expected = (
            (VOLTAGE_RANGE, RESISTANCE_RANGE, BatteryReading(Volt(87.6012), Ohm(8.612e-3))),
            (VOLTAGE_RANGE, RESISTANCE_RANGE, BatteryReading(Volt(-87.6009), Ohm(8.614e-3))),
            (Volt(1000.0), Ohm(0.3), BatteryReading(Volt(350.402), Ohm(35.12e-3))),
        )
        for voltage_range, resistance_range, reading in expected:
            assert await driver.measure(lease, voltage_range, resistance_range) == reading
        assert player.finished, player.unexpected

    run(main)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_contact", "no contact, no resistance"),
        ("no_voltage", "no contact, no voltage"),
        ("resistance_over_range", "resistance is over the range that ends at 0.03"),
        ("voltage_over_range", "voltage is over the range that ends at 100"),
        ("voltage_below_range", "voltage is over the range"),
    ],
)
def test_what_stands_for_no_value_is_none(name: str, says: str) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.line.device.tamper = values_read(SENTINELS[name])
        with pytest.raises(ReplyInvalid, match=says):
            await bench.measure()
        bench.line.device.tamper = None
        assert right(await bench.measure())

    run(main)


def test_blanks_between_sign_and_digits_are_zeros() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.line.device.tamper = values_read(SENTINELS["negative_with_blanks"])
        assert await bench.measure() == BatteryReading(Volt(-7.51), Ohm(8.612e-3))

    run(main)


@pytest.mark.parametrize("text", ["   8.612E-3", "   8.612E-3, 87.6012E+0, 0", "", "  -8.612E-3, 87.6012E+0"])
def test_what_is_not_a_resistance_and_a_voltage_is_refused(text: str) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.line.device.tamper = values_read(text)
        with pytest.raises(ReplyInvalid):
            await bench.measure()

    run(main)


def test_a_module_is_measured_with_its_sign_and_a_stack_in_its_range() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        bench = await Bench(2).begin()
        started_s = loop.time()
        assert right(await bench.measure())
        assert 0.25 < loop.time() - started_s < 0.3
        bench.frame.touched = (-TRUE_V, TRUE_OHM)
        assert (await bench.measure()).voltage == pytest.approx(-TRUE_V, rel=2e-4, abs=2e-3)
        bench.frame.touched = (350.4, 35e-3)
        with pytest.raises(ReplyInvalid, match="resistance is over the range"):
            await bench.measure()
        stack = await bench.driver.measure(bench.lease, Volt(1000.0), Ohm(0.3))
        assert (stack.voltage, stack.resistance) == pytest.approx((350.4, 35e-3), rel=6e-3, abs=200e-6)
        assert bench.lease.fresh

    run(main)


def test_a_lost_contact_is_no_reading() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.frame.touched = None
        with pytest.raises(ReplyInvalid, match="no contact"):
            await bench.measure()
        bench.frame.touched = (TRUE_V, TRUE_OHM)
        assert right(await bench.measure())

    run(main)


def test_a_range_the_tester_has_not_is_refused_or_not_taken_for_the_next_one() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        with pytest.raises(DeviceRefused, match=r":VOLT:RANG 3000 refused: event status 16"):
            await bench.driver.measure(bench.lease, Volt(3000.0), RESISTANCE_RANGE)
        with pytest.raises(ReplyInvalid, match=r":VOLT:RANG was set to 300 and reads 1000"):
            await bench.driver.measure(bench.lease, Volt(300.0), RESISTANCE_RANGE)
        assert right(await bench.measure())

    run(main)


@every_fault
def test_faults_of_the_line(fault: Fault) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        await suffer(bench.line, fault, bench.measure, right)

    run(main)


@given(tamper=damages())
@settings(max_examples=60, deadline=None)
def test_whatever_happens_to_the_bytes_a_reading_is_right_or_an_error(tamper: Tamper) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        fault = Fault("damage", lambda: tamper, (ReplyInvalid, DeviceTimeout, DeviceRefused, DeviceRestarted))
        await suffer(bench.line, fault, bench.measure, right)

    run(main)


@pytest.mark.parametrize("at", range(0, 120, 5))
def test_a_garbled_command_is_a_right_value_or_an_error(at: int) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        garble_commands(bench.line, lambda data: data[:at] + b"\x15" + data[at + 1 :])
        with contextlib.suppress(ReplyInvalid, DeviceTimeout, DeviceRefused):
            assert right(await bench.measure())

    run(main)


@every_malformed_number
@pytest.mark.parametrize("pattern", [RESISTANCE, VOLTAGE], ids=["resistance", "voltage"])
def test_what_is_no_number_is_never_a_value(pattern: re.Pattern[bytes], text: bytes) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.line.device.tamper = when(is_reading, number_reads(text, pattern=pattern))
        with pytest.raises((ReplyInvalid, DeviceTimeout)):
            await bench.measure()

    run(main)


@pytest.mark.parametrize("pattern", [RESISTANCE, VOLTAGE], ids=["resistance", "voltage"])
@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_a_slip_of_the_prefix_is_implausible(pattern: re.Pattern[bytes], factor: float) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.line.device.tamper = when(is_reading, scaled(factor, pattern=pattern))
        with pytest.raises(ReplyInvalid, match="implausible"):
            await bench.measure()

    run(main)


def test_readings_that_do_not_move_are_stuck_and_those_of_the_tester_are_not() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        for _ in range(30):
            await bench.measure()
        anything = re.compile(rb"^[^;]*;[^;]*")
        bench.line.device.tamper = when(is_reading, frozen(pattern=anything))
        await bench.measure()
        bench.frame.touched = (88.1, 8.4e-3)
        with pytest.raises(ReplyInvalid, match="stuck"):
            await bench.measure()

    run(main)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2])
def test_unplugged(after_s: float) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        await suffer_unplug(bench.line, bench.measure, after_s)

    run(main)


@pytest.mark.parametrize("after_s", [0.0, 0.1])
def test_a_silent_restart_is_noticed_and_the_tester_set_anew(after_s: float) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        asyncio.get_running_loop().call_later(after_s, bench.stub.restart)
        with pytest.raises(DeviceRestarted):
            await bench.measure()
        assert right(await bench.measure())

    run(main)


def test_a_restart_whose_notice_is_lost_is_seen_in_the_settings() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.stub.restart()
        bench.line.device.tamper = during(lambda data: [], 1)
        with pytest.raises(ReplyInvalid, match="was set to"):
            await bench.measure()
        assert right(await bench.measure())

    run(main)


def test_a_revoked_lease_measures_nothing() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.lease.revoked = True
        carried = bench.line.carried
        with pytest.raises(LeaseRevoked):
            await bench.measure()
        assert bench.line.carried == carried

    run(main)
