"""The ohmmeter's driver: pinned bytes, and against the stub with everything that goes wrong on a serial line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import ResistanceReading
from bmsctl.domain.units import Ohm
from bmsctl.drivers.ohmmeter import DEVICE, ScpiOhmmeter
from bmsctl.errors import DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked, ReplyInvalid
from firmware_stubs.ohmmeter import OhmmeterStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.dialogue import Player, dialogues
from tests.support.serial_faults import (
    Fault,
    Tamper,
    damages,
    during,
    every_fault,
    every_malformed_number,
    fields_changed,
    frozen,
    garble_commands,
    number_reads,
    scaled,
    suffer,
    suffer_unplug,
    when,
)

DIALOGUES = dialogues("ohmmeter")
RANGE = Ohm(0.1)
TRUE_OHM = (4.0e-3, 2.5e-3, 0.4)
"""Of points 1, 2, 3; the last one is an open strap."""


class Straps:
    """Bonding straps of a pack."""

    bonding_points = len(TRUE_OHM)

    def bonding_ohm(self, point: int) -> float:
        return TRUE_OHM[point - 1]


class Bench:
    """Driver and stub on one line."""

    def __init__(self, seed: int = 1) -> None:
        self.line = SimSerial(DEVICE)
        self.stub = OhmmeterStub(self.line.device, Straps(), seed)
        self.driver = ScpiOhmmeter(self.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant(DEVICE, 1.0)

    async def begin(self) -> Bench:
        await self.driver.identify(self.lease)
        await self.measure()
        return self

    async def measure(self, channel: int = 1) -> ResistanceReading:
        return await self.driver.measure(self.lease, channel, RANGE)


def right(reading: ResistanceReading) -> bool:
    return not reading.over_range and reading.ohm == pytest.approx(TRUE_OHM[0], rel=5e-3, abs=50e-6)


def is_reading(answer: bytes) -> bool:
    """Whether an answer holds a measured number and, again, its copy."""
    fields = answer.split(b";")
    return len(fields) > 6 and fields[0] == fields[1]


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def test_the_bytes_are_those_of_the_manual() -> None:
    async def main() -> None:
        line = SimSerial(DEVICE)
        player = Player(line)
        driver = ScpiOhmmeter(line.station)
        lease = LeaseBook(asyncio.get_running_loop().time).grant(DEVICE, 1.0)
        player.play(DIALOGUES["identify"])
        assert await driver.identify(lease) == "HIOKI,RM3545-02,190412345,V1.11"
        assert player.finished
        driver = ScpiOhmmeter(line.station)
        names = ("first_measure", "over_range", "temperature", "no_probe")
        player.play(*(DIALOGUES[name] for name in names))
        assert await driver.measure(lease, 3, RANGE) == ResistanceReading(Ohm(4.0123e-3), over_range=False)
        assert await driver.measure(lease, 4, RANGE) == ResistanceReading(RANGE, over_range=True)
        assert await driver.temperature(lease) == 23.4
        with pytest.raises(ReplyInvalid, match="no temperature probe"):
            await driver.temperature(lease)
        assert player.finished, player.unexpected

    run(main)


def test_each_channel_is_measured_with_both_directions_of_current() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        bench = await Bench(2).begin()
        started_s = loop.time()
        assert right(await bench.measure(1))
        assert 0.44 < loop.time() - started_s < 0.5
        assert (await bench.measure(2)).ohm == pytest.approx(TRUE_OHM[1], rel=5e-3, abs=50e-6)
        assert await bench.measure(3) == ResistanceReading(RANGE, over_range=True)
        assert (await bench.driver.measure(bench.lease, 3, Ohm(1.0))).ohm == pytest.approx(0.4, rel=5e-3)
        assert bench.lease.fresh

    run(main)


@pytest.mark.parametrize("channel", [1, 3])
def test_a_lost_contact_is_neither_a_resistance_nor_over_range(channel: int) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.stub.lost_contacts.add(channel)
        with pytest.raises(ReplyInvalid, match="no contact"):
            await bench.measure(channel)
        bench.stub.lost_contacts.clear()
        assert (await bench.measure(channel)).over_range is (channel == 3)

    run(main)


def test_a_contact_lost_between_the_two_readings_of_an_over_range_is_noticed() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        asyncio.get_running_loop().call_later(0.7, bench.stub.lost_contacts.add, 3)
        with pytest.raises(ReplyInvalid, match="no contact"):
            await bench.measure(3)

    run(main)


def test_an_over_range_that_does_not_repeat_is_none() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.line.device.tamper = when(is_reading, during(number_reads(b"9.9000E+37", count=2), 1))
        with pytest.raises(ReplyInvalid, match="once and then not"):
            await bench.measure()

    run(main)


def test_a_negative_overflow_is_below_the_range() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.line.device.tamper = when(is_reading, number_reads(b"-9.9000E+37", count=2))
        with pytest.raises(ReplyInvalid, match="below the range"):
            await bench.measure()

    run(main)


@pytest.mark.parametrize("channel", [0, 21])
def test_a_channel_the_multiplexer_has_not_is_refused(channel: int) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        with pytest.raises(DeviceRefused, match="event status 16"):
            await bench.measure(channel)
        assert right(await bench.measure())

    run(main)


def test_a_range_the_meter_has_not_is_not_taken_for_the_next_one() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        with pytest.raises(ReplyInvalid, match=r":SENS:RES:RANG was set to 0\.05 and reads"):
            await bench.driver.measure(bench.lease, 1, Ohm(0.05))
        assert right(await bench.measure())

    run(main)


@every_fault
@pytest.mark.parametrize("channel", [1, 2])
def test_faults_of_the_line(fault: Fault, channel: int) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        await suffer(
            bench.line,
            fault,
            lambda: bench.measure(channel),
            lambda reading: reading.ohm == pytest.approx(TRUE_OHM[channel - 1], rel=5e-3, abs=50e-6),
        )

    run(main)


@given(tamper=damages())
@settings(max_examples=60, deadline=None)
def test_whatever_happens_to_the_bytes_a_resistance_is_right_or_an_error(tamper: Tamper) -> None:
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
def test_what_is_no_number_is_never_a_resistance(text: bytes) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.line.device.tamper = when(is_reading, number_reads(text, count=2))
        with pytest.raises((ReplyInvalid, DeviceTimeout)):
            await bench.measure()

    run(main)


@pytest.mark.parametrize("channel", [1, 2])
@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_a_slip_of_the_prefix_is_implausible(channel: int, factor: float) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.line.device.tamper = when(is_reading, scaled(factor, count=2))
        with pytest.raises(ReplyInvalid, match="implausible"):
            await bench.measure(channel)

    run(main)


def test_readings_that_do_not_move_are_stuck_and_those_of_the_meter_are_not() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        for _ in range(30):
            await bench.measure()
        bench.line.device.tamper = when(is_reading, frozen(count=2))
        await bench.measure()
        with pytest.raises(ReplyInvalid, match="stuck"):
            await bench.measure(2)

    run(main)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3])
def test_unplugged(after_s: float) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        await suffer_unplug(bench.line, bench.measure, after_s)

    run(main)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3])
def test_a_silent_restart_is_noticed_and_the_meter_set_anew(after_s: float) -> None:
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


@every_fault
def test_faults_of_the_line_while_the_temperature_is_read(fault: Fault) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.stub.temperature_c = lambda: 23.0
        await suffer(
            bench.line,
            fault,
            lambda: bench.driver.temperature(bench.lease),
            lambda got: got == pytest.approx(23.0, abs=1),
        )

    run(main)


@pytest.mark.parametrize("text", [b"-10.1", b"60.1", b"2 3.4", b"", b"NaN", b"9.9000E+37", b"-9.9100E+37"])
def test_a_temperature_that_no_station_has_is_none(text: bytes) -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.stub.temperature_c = lambda: 23.0
        bench.line.device.tamper = fields_changed((0, 1), lambda field: text)
        with pytest.raises(ReplyInvalid):
            await bench.driver.temperature(bench.lease)

    run(main)


def test_a_temperature_leaves_the_settings_of_resistance_known() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.stub.temperature_c = lambda: 23.0
        said: list[bytes] = []
        bench.line.tap = said.append
        await bench.driver.temperature(bench.lease)
        await bench.measure()
        assert len(said) == 2

    run(main)


def test_a_revoked_lease_measures_nothing() -> None:
    async def main() -> None:
        bench = await Bench().begin()
        bench.lease.revoked = True
        with pytest.raises(LeaseRevoked):
            await bench.measure()
        with pytest.raises(LeaseRevoked):
            await bench.driver.temperature(bench.lease)

    run(main)
