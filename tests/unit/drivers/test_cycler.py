"""The cycler driver: against a conversation written by hand, against the stub, and on a bad line."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import CyclerReading
from bmsctl.domain.units import Ampere, Volt
from bmsctl.drivers.cycler import ScpiCycler
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked, ReplyInvalid
from firmware_stubs.cycler import CyclerStub
from firmware_stubs.plant import Node
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.fake_plant import FakePlant
from tests.support.serial_faults import (
    MALFORMED,
    Fault,
    Tamper,
    damages,
    during,
    edited,
    every_fault,
    frozen,
    lost,
    number_reads,
    suffer,
    suffer_unplug,
)

CONVERSATION = tomllib.loads((Path(__file__).parents[2] / "golden/cycler/conversation.toml").read_text())
CURRENT = re.compile(rb"-?\d+\.\d+(?= A,)")
VOLTAGE = re.compile(rb"-?\d+\.\d+(?= V)")
V_MIN, V_MAX, A_MAX = Volt(240.0), Volt(403.2), Ampere(100.0)


class PackedPlant(FakePlant):
    """A pack of 350 V that takes any current, unless it is taken away."""

    def __init__(self) -> None:
        super().__init__({Node.CYCLER: 350.0})
        self.there = True

    def pack_current_a(self, t_s: float) -> float:
        return self.sources[-1][2] if self.there and self.sources else 0.0


class Bench:
    """Driver and stub on one line; the enable is given. `said`: what the driver sent."""

    def __init__(self) -> None:
        self.plant = PackedPlant()
        self.line = SimSerial("cycler")
        self.stub = CyclerStub(self.line.device, self.plant, 1)
        self.stub.enable(asyncio.get_running_loop().time(), True)
        self.driver = ScpiCycler(self.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant("cycler", 1.0)
        self.said: list[str] = []
        sink = self.line.device_sink
        assert sink is not None

        def heard(data: bytes) -> None:
            self.said.append(data.decode().strip())
            sink(data)

        self.line.device_sink = heard

    async def armed(self) -> None:
        await self.driver.identify(self.lease)
        await self.driver.arm(self.lease, V_MIN, V_MAX, A_MAX)

    async def flowing(self, amps: float = 50.0) -> None:
        await self.armed()
        await self.driver.set_current(self.lease, Ampere(amps))
        await asyncio.sleep(0.2)

    @property
    def amps(self) -> float:
        """Current that the stub drives now."""
        return self.plant.sources[-1][2] if self.plant.sources else 0.0

    def read(self) -> Awaitable[CyclerReading]:
        return self.driver.read(self.lease)

    async def is_off(self) -> None:
        """The driver has asked the output off, and off it is."""
        await asyncio.sleep(0.2)
        assert self.said[-1] == "OUTP OFF"
        assert not self.stub.output_on
        assert self.amps == 0.0


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 120.0)
    assert loop.errors == []


def right(reading: CyclerReading) -> bool:
    return abs(reading.current - 50.0) < 0.5 and abs(reading.voltage - 350.0) < 2.0


def test_the_conversation_written_by_hand() -> None:
    async def main() -> None:
        line = SimSerial("cycler")
        driver = ScpiCycler(line.station)
        lease = LeaseBook(asyncio.get_running_loop().time).grant("cycler", 1.0)
        expected = iter([row for part in CONVERSATION.values() for row in part])

        def answer(data: bytes) -> None:
            row = next(expected)
            assert data == row["sent"].encode() + b"\n"
            line.device.emit(row["answer"].encode() + b"\n", 0.02)

        line.device.listen(answer)
        await driver.arm(lease, V_MIN, V_MAX, A_MAX)
        acknowledged_s = await driver.set_current(lease, Ampere(-50.0))
        assert acknowledged_s == asyncio.get_running_loop().time()
        await asyncio.sleep(0.2)
        reading = await driver.read(lease)
        assert (reading.current, reading.voltage) == (-50.03, 347.12)
        assert reading.t_s == asyncio.get_running_loop().time()
        await driver.set_current(lease, Ampere(50.5))
        await driver.disarm(lease)
        assert next(expected, None) is None

    run(main)


def test_with_the_stub_charge_discharge_and_disarm() -> None:
    async def main() -> None:
        bench = Bench()
        assert "PSB" in await bench.driver.identify(bench.lease)
        await bench.driver.arm(bench.lease, V_MIN, V_MAX, A_MAX)
        assert bench.stub.output_on
        assert bench.amps == 0.0
        for wanted in (50.0, -80.0, 0.5, 100.0, 0.0):
            await bench.driver.set_current(bench.lease, Ampere(wanted))
            await asyncio.sleep(0.2)
            assert bench.amps == pytest.approx(wanted, abs=0.3)
            reading = await bench.read()
            assert reading.current == pytest.approx(wanted, abs=0.5)
            assert reading.voltage == pytest.approx(350.0, abs=1.0)
        await bench.driver.set_current(bench.lease, Ampere(30.0))
        await bench.driver.disarm(bench.lease)
        assert not bench.stub.output_on
        assert bench.amps == 0.0

    run(main)


def test_only_what_it_was_armed_for_is_set() -> None:
    async def main() -> None:
        bench = Bench()
        with pytest.raises(DeviceRefused, match="armed"):
            await bench.driver.set_current(bench.lease, Ampere(1.0))
        await bench.armed()
        count = len(bench.said)
        for amps in (100.1, -100.1, float("nan"), float("inf")):
            with pytest.raises(DeviceRefused, match="armed for"):
                await bench.driver.set_current(bench.lease, Ampere(amps))
        assert len(bench.said) == count
        bench.driver.off()
        with pytest.raises(DeviceRefused, match="armed"):
            await bench.driver.set_current(bench.lease, Ampere(1.0))

    run(main)


def test_without_enable_it_is_not_armed_and_with_it_again_it_is() -> None:
    async def main() -> None:
        bench = Bench()
        bench.stub.enable(asyncio.get_running_loop().time(), False)
        with pytest.raises(DeviceRefused, match="enable is missing"):
            await bench.armed()
        bench.stub.enable(asyncio.get_running_loop().time(), True)
        await bench.flowing()
        bench.stub.enable(asyncio.get_running_loop().time(), False)
        with pytest.raises(DeviceRefused, match="enable is missing"):
            await bench.read()
        await bench.is_off()
        bench.stub.enable(asyncio.get_running_loop().time(), True)
        await asyncio.sleep(0.1)
        assert not bench.stub.output_on
        await bench.driver.arm(bench.lease, V_MIN, V_MAX, A_MAX)
        assert bench.stub.output_on

    run(main)


@pytest.mark.parametrize(("amps", "alarm"), [(50.0, "overvoltage"), (-50.0, "undervoltage")])
def test_without_a_pack_a_protection_trips_and_stays_until_the_next_run(amps: float, alarm: str) -> None:
    async def main() -> None:
        bench = Bench()
        bench.plant.there = False
        await bench.armed()
        await bench.driver.set_current(bench.lease, Ampere(amps))
        with pytest.raises(DeviceRefused, match=alarm):
            await bench.read()
        bench.plant.there = True
        with pytest.raises(DeviceRefused, match=alarm):
            await bench.driver.arm(bench.lease, V_MIN, V_MAX, A_MAX)
        await bench.flowing()
        assert right(await bench.read())

    run(main)


def test_an_output_that_went_off_by_itself_is_noticed() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.armed()
        bench.stub.enable(asyncio.get_running_loop().time(), False)
        bench.stub.enable(asyncio.get_running_loop().time(), True)
        with pytest.raises(DeviceRefused, match="by itself"):
            await bench.read()

    run(main)


def test_a_setting_that_reads_otherwise_is_not_switched_on() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.driver.identify(bench.lease)
        bench.line.device.tamper = number_reads(b"500.00", pattern=VOLTAGE)
        with pytest.raises(ReplyInvalid, match="reads 500"):
            await bench.driver.arm(bench.lease, V_MIN, V_MAX, A_MAX)
        assert not any("OUTP ON" in message for message in bench.said)
        await bench.is_off()

    run(main)


def test_a_lost_answer_to_a_current_is_not_asked_again_and_the_output_goes_off() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        bench.line.device.tamper = lost()
        with pytest.raises(DeviceTimeout):
            await bench.driver.set_current(bench.lease, Ampere(90.0))
        assert [message for message in bench.said if "90.00" in message] == bench.said[-1:]
        await bench.is_off()

    run(main)


@pytest.mark.parametrize("skip", range(22))
def test_arming_with_any_answer_lost_ends_off_or_armed(skip: int) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.driver.identify(bench.lease)
        bench.line.device.tamper = during(lost(), 1, skip)
        try:
            await bench.driver.arm(bench.lease, V_MIN, V_MAX, A_MAX)
        except DeviceTimeout:
            await bench.is_off()
        else:
            assert bench.stub.output_on
        assert sum("OUTP ON" in message for message in bench.said) <= 1

    run(main)


def test_a_cancelled_or_revoked_command_ends_off() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        task = asyncio.get_running_loop().create_task(bench.driver.set_current(bench.lease, Ampere(90.0)))
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await bench.is_off()
        await bench.flowing()
        bench.lease.revoked = True
        with pytest.raises(LeaseRevoked):
            await bench.driver.set_current(bench.lease, Ampere(90.0))
        assert not any("90.00" in message for message in bench.said[-2:])
        await bench.is_off()

    run(main)


def test_off_survives_a_dead_line() -> None:
    async def main() -> None:
        bench = Bench()
        bench.line.station.down = True
        bench.driver.off()

    run(main)


def test_a_restart_is_told_from_a_current_of_zero() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        bench.stub.restart()
        with pytest.raises(DeviceRestarted):
            await bench.read()
        with pytest.raises(DeviceRefused, match="armed"):
            await bench.driver.set_current(bench.lease, Ampere(10.0))

    run(main)


@every_fault
def test_a_fault_on_the_line_never_gives_a_wrong_reading(fault: Fault) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        await suffer(bench.line, fault, bench.read, right)

    run(main)


@pytest.mark.parametrize("skip", [0, 1])
@every_fault
def test_a_fault_on_the_line_never_leaves_a_doubtful_current(fault: Fault, skip: int) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.armed()
        bench.line.device.tamper = during(fault.tamper(), 100, skip)
        try:
            await bench.driver.set_current(bench.lease, Ampere(50.0))
        except DeviceError:
            bench.line.device.tamper = None
            await bench.is_off()
        else:
            await asyncio.sleep(0.1)
            assert bench.amps == pytest.approx(50.0, abs=0.3)

    run(main)


@pytest.mark.parametrize("text", [*MALFORMED, b"9.9E37", b"-9.9E37"], ids=repr)
@pytest.mark.parametrize("pattern", [CURRENT, VOLTAGE], ids=["current", "voltage"])
def test_no_malformed_number_is_a_reading(text: bytes, pattern: re.Pattern[bytes]) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        bench.line.device.tamper = number_reads(text, pattern=pattern)
        with pytest.raises(ReplyInvalid):
            await bench.read()
        await bench.is_off()

    run(main)


def rescaled(factor: float, pattern: re.Pattern[bytes]) -> Tamper:
    """A slip of the prefix; power with it, as a device would."""
    both = re.compile(pattern.pattern + rb"|-?\d+(?:\.\d+)?(?= W)")
    return edited(lambda data: both.sub(lambda found: f"{float(found[0]) * factor:.2f}".encode(), data))


@pytest.mark.parametrize("factor", [1e-3, 1e3, -1.0, 0.1, 10.0])
@pytest.mark.parametrize("pattern", [CURRENT, VOLTAGE], ids=["current", "voltage"])
def test_a_slip_of_the_prefix_is_implausible(factor: float, pattern: re.Pattern[bytes]) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        bench.line.device.tamper = rescaled(factor, pattern)
        with pytest.raises(ReplyInvalid, match="implausible"):
            await bench.read()

    run(main)


def test_right_after_a_step_any_current_up_to_the_maximum_is_plausible() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing(-50.0)
        await bench.driver.set_current(bench.lease, Ampere(100.0))
        bench.line.device.tamper = rescaled(-0.9, CURRENT)
        assert (await bench.read()).current == pytest.approx(-90.0, abs=1.0)
        await bench.driver.set_current(bench.lease, Ampere(90.0))
        bench.line.device.tamper = rescaled(1.3, CURRENT)
        with pytest.raises(ReplyInvalid, match="implausible"):
            await bench.read()

    run(main)


def test_a_set_value_that_reads_otherwise_ends_the_current() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        bench.line.device.tamper = edited(lambda data: data.replace(b";50.00 A", b";60.00 A"))
        with pytest.raises(ReplyInvalid, match="SOUR:CURR was set to 50 A and reads 60"):
            await bench.read()
        await bench.is_off()

    run(main)


@pytest.mark.parametrize("count", [1, 3])
def test_damaged_digits_are_betrayed_by_their_repetition(count: int) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        bench.line.device.tamper = during(number_reads(b"50.10", 1, pattern=CURRENT), count)
        if count == 1:
            assert right(await bench.read())
            return
        with pytest.raises(ReplyInvalid, match="damaged"):
            await bench.read()
        await bench.is_off()

    run(main)


def test_a_current_that_is_not_power_by_voltage_is_no_reading() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        bench.line.device.tamper = number_reads(b"51.50", pattern=CURRENT)
        with pytest.raises(ReplyInvalid, match="product"):
            await bench.read()

    run(main)


def test_arming_again_sends_every_setting_again() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.armed()
        await bench.driver.arm(bench.lease, V_MIN, V_MAX, A_MAX)
        for setting in ("SOUR:VOLT:PROT 403.20", "SYST:CONF:UVD 240.00", "SINK:CURR 0.00", "SOUR:CURR 0.00"):
            assert sum(setting in message for message in bench.said) == 2

    run(main)


def test_a_frozen_current_is_not_measured() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        for _ in range(20):
            await bench.read()
        bench.line.device.tamper = frozen(pattern=re.compile(rb"-?\d+\.\d+(?= [AW])"))
        for _ in range(9):
            await bench.read()
        with pytest.raises(ReplyInvalid, match="stuck"):
            await bench.read()
        await bench.is_off()

    run(main)


def test_unplugged() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        await suffer_unplug(bench.line, bench.read, 0.001)

    run(main)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damages())
def test_any_damage_gives_the_right_value_or_an_error(tamper: Tamper) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.flowing()
        bench.line.device.tamper = tamper
        try:
            assert right(await bench.read())
        except DeviceError:
            return

    run(main)
