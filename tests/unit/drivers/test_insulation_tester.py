"""The insulation tester's driver: against its golden conversation, and against the stub on a line that fails."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import InsulationReading
from bmsctl.domain.units import Second, Volt
from bmsctl.drivers.insulation_tester import ScpiInsulationTester
from bmsctl.drivers.scpi import FROZEN
from bmsctl.errors import (
    DeviceError,
    DeviceRefused,
    DeviceRestarted,
    DeviceTimeout,
    LeaseRevoked,
    LinkDown,
    ReplyInvalid,
)
from firmware_stubs.insulation_tester import InsulationTesterStub
from firmware_stubs.plant import Node
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.insulated_object import InsulatedObject
from tests.support.scripted_tester import ScriptedTester, conversation
from tests.support.serial_faults import (
    Fault,
    Tamper,
    cut_at,
    damages,
    every_fault,
    every_malformed_number,
    frozen,
    garble_commands,
    number_reads,
    scaled,
    suffer,
    suffer_unplug,
    unplug,
)

VOLTAGE, DURATION = Volt(500.0), Second(2.0)
GOOD_OHM = 2e9
MODES = ":SAFE:RES:ALL:MODE?"
JUDGEMENTS, OUTPUTS, MEASURED = ":SAFE:RES:ALL?", ":SAFE:RES:ALL:OMET?", ":SAFE:RES:ALL:MMET?"
TEST_TIMES = ":SAFE:RES:ALL:TIME?"
GIGAOHMS = re.compile(rb"[+]\d\.\d+E[+]09")


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def twice(text: str) -> str:
    return f"{text};{text}"


class Bench:
    """Driver and stub on one line, an object at the stub's output; `heard`: what the stub was sent."""

    def __init__(self, ohm: float = GOOD_OHM, farad: float = 0.2e-6, at_first_v: float = 0.0) -> None:
        self.object = InsulatedObject(ohm, farad, at_first_v=at_first_v)
        self.line = SimSerial("insulation_tester")
        self.stub = InsulationTesterStub(self.line.device, self.object, 1)
        self.stub.enabled = True
        self.heard: list[str] = []
        garble_commands(self.line, self._hear)
        self.driver = ScpiInsulationTester(self.line.station)
        self.book = LeaseBook(asyncio.get_running_loop().time)
        self.lease = self.book.grant("insulation_tester", 1.0)

    def _hear(self, data: bytes) -> bytes:
        self.heard.extend(data.decode("ascii").splitlines())
        return data

    @property
    def starts(self) -> int:
        return sum(":SAFE:STAR;" in line for line in self.heard)

    def volts(self) -> float:
        return self.object.voltage(asyncio.get_running_loop().time(), Node.TESTER, Node.PE)

    async def identified(self) -> Bench:
        await self.driver.identify(self.lease)
        return self

    async def measure(self) -> InsulationReading:
        return await self.driver.measure(self.lease, VOLTAGE, DURATION)


class Scripted:
    """The driver, and a tester that answers as written down."""

    def __init__(self, instead: dict[str, str] | None = None) -> None:
        self.peer = ScriptedTester("insulation_tester", instead)
        self.driver = ScpiInsulationTester(self.peer.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant("insulation_tester", 1.0)

    async def measure(self) -> InsulationReading:
        return await self.driver.measure(self.lease, VOLTAGE, DURATION)


def right(reading: InsulationReading) -> bool:
    return not reading.over_range and math.isclose(reading.ohm, GOOD_OHM, rel_tol=0.6)


def test_a_measurement_is_the_golden_conversation() -> None:
    async def main() -> None:
        bench = Scripted()
        assert await bench.measure() == InsulationReading(ohm=2.13e9, voltage=501.0, over_range=False)
        assert bench.peer.heard == [said for said, _ in conversation("insulation_tester")]

    run(main)


@pytest.mark.parametrize(
    ("answers", "error", "text"),
    [
        ({MEASURED: twice("+2E-07,+2.13E+06,+3E-07,+2E-07")}, ReplyInvalid, "do not agree"),
        ({MEASURED: twice("+2E-07,+2.13E+12,+3E-07,+2E-07")}, ReplyInvalid, "implausible"),
        ({MEASURED: twice("+2E-07,+1.99E+06,+2.5E-04,+2E-07")}, ReplyInvalid, "implausible"),
        ({MEASURED: twice("+2E-07,+2.13E+09,+3E-04,+2E-07")}, ReplyInvalid, "do not agree"),
        ({MEASURED: twice("+2E-07,+1.00E+07,+5E-08,+2E-07")}, ReplyInvalid, "do not agree"),
        ({MEASURED: twice("+2E-07,+9.9E+37,+9E-06,+2E-07")}, ReplyInvalid, "do not agree"),
        ({MEASURED: twice("+2E-07,-9.9E+37,+3E-07,+2E-07")}, ReplyInvalid, "cannot be"),
        ({MEASURED: twice("+2E-07,+9.91E+37,+3E-07,+2E-07")}, ReplyInvalid, "no number"),
        ({MEASURED: twice("+2E-07,+2.13E+09,+9.9E+37,+2E-07")}, ReplyInvalid, "current inf is implausible"),
        ({MEASURED: twice("+2E-09,+2.13E+09,+3E-07,+2E-07")}, ReplyInvalid, "no contact before"),
        ({MEASURED: twice("+2E-07,+2.13E+09,+3E-07,+2E-09")}, ReplyInvalid, "no contact after"),
        ({MEASURED: "+2E-07,+2.13E+09,+3E-07,+2E-07;+2E-07,+3.13E+09,+3E-07,+2E-07"}, ReplyInvalid, "damaged"),
        ({MEASURED: twice("+2E-07,+2.13E+09,+3E-07")}, ReplyInvalid, "3 values for 4 steps"),
        ({OUTPUTS: twice("+1E+01,+4.4E+02,+5E+02,+1E+01")}, ReplyInvalid, "test voltage"),
        ({OUTPUTS: twice("+1E+01,+5E+05,+5E+05,+1E+01")}, ReplyInvalid, "test voltage"),
        ({OUTPUTS: twice("+1E+01,+5E+02,+5.6E+02,+1E+01")}, ReplyInvalid, "test voltage"),
        ({OUTPUTS: twice("+1E+01,+9.9E+37,+5E+02,+1E+01")}, ReplyInvalid, "voltage inf is implausible"),
        ({TEST_TIMES: twice("+2E-01,+1.9E+00,+3E-01,+2E-01")}, ReplyInvalid, "test time"),
        ({MODES: twice("OSC,DC,IR,OSC")}, ReplyInvalid, "another program"),
        ({JUDGEMENTS: twice("98,112,112,112")}, ReplyInvalid, "no contact before"),
        ({JUDGEMENTS: twice("116,116,116,98")}, ReplyInvalid, "no contact after"),
        ({JUDGEMENTS: twice("116,112,112,112")}, DeviceRefused, "not finished"),
        ({JUDGEMENTS: twice("116,116,113,112")}, DeviceRefused, "not finished"),
        ({JUDGEMENTS: twice("116,116,33,112")}, ReplyInvalid, "DC_HIGH"),
        ({JUDGEMENTS: twice("116,49,112,112")}, ReplyInvalid, "IR_HIGH"),
        ({JUDGEMENTS: twice("116,50,112,112")}, ReplyInvalid, "implausible"),
        ({JUDGEMENTS: twice("116,200,116,116")}, ReplyInvalid, "not a judgement"),
        ({":SAFE:STEP2:MODE?": "IR;IR;5E+02;2E+06;0;0;2.5;0"}, ReplyInvalid, "TIME was set to 2 and reads 2.5"),
        ({":SAFE:STEP3:MODE?": "AC;AC;5E+02;0.01;0;0.1;0.3;0.3"}, ReplyInvalid, "step 3 is AC"),
        ({":SAFE:STAR": '-200,"Execution error;Interlock open"'}, DeviceRefused, "Interlock open"),
        ({":SAFE:STAT?": "STOPPED"}, ReplyInvalid, "does not run"),
        ({":SAFE:STAT?": "TESTING"}, ReplyInvalid, "status 'TESTING'"),
    ],
)
def test_an_answer_that_cannot_be_is_not_a_reading(
    answers: dict[str, str], error: type[DeviceError], text: str
) -> None:
    async def main() -> None:
        bench = Scripted(answers)
        with pytest.raises(error, match=text):
            await bench.measure()

    run(main)


def test_over_range_is_a_bound_once_contact_is_proven_and_no_current_flows() -> None:
    async def main() -> None:
        bench = Scripted({MEASURED: twice("+2E-07,+9.9E+37,+0.1E-06,+2E-07")})
        assert await bench.measure() == InsulationReading(ohm=10e9, voltage=501.0, over_range=True)

    run(main)


def test_a_low_resistance_needs_no_proof_and_may_pull_the_voltage_down() -> None:
    async def main() -> None:
        bench = Scripted(
            {
                JUDGEMENTS: twice("116,50,112,112"),
                OUTPUTS: twice("+1E+01,+2.38E+01,+0E+00,+0E+00"),
                MEASURED: twice("+2E-07,+5.01E+03,+9.91E+37,+9.91E+37"),
            }
        )
        assert await bench.measure() == InsulationReading(ohm=5010.0, voltage=23.8, over_range=False)

    run(main)


@pytest.mark.parametrize(("ohm", "sd"), [(5e3, 0.02), (1e6, 0.02), (50e6, 0.02), (500e6, 0.05), (2e9, 0.15)])
def test_what_it_measures_is_within_the_tester_s_error(ohm: float, sd: float) -> None:
    async def main() -> None:
        bench = await Bench(ohm).identified()
        reading = await bench.measure()
        assert reading.ohm == pytest.approx(ohm, rel=4.0 * sd)
        assert not reading.over_range
        assert bench.lease.fresh
        assert abs(bench.volts()) < 10.0

    run(main)


def test_beyond_its_range_it_gives_a_bound() -> None:
    async def main() -> None:
        bench = await Bench(1e12).identified()
        reading = await bench.measure()
        assert (reading.ohm, reading.over_range) == (10e9, True)

    run(main)


def test_the_program_is_set_once_and_read_back_each_time() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        await bench.measure()
        said = len(bench.heard)
        await bench.measure()
        again = bench.heard[said:]
        assert not any("STEP2:IR 500" in line for line in again)
        assert any("STEP2:IR?" in line for line in again)
        said = len(bench.heard)
        await bench.driver.measure(bench.lease, Volt(250.0), DURATION)
        assert [line for line in bench.heard[said:] if "STEP2:IR 250" in line]
        assert not any("STEP1:OSC:CST 1e-08" in line for line in bench.heard[said:])

    run(main)


@pytest.mark.parametrize(("lost_s", "found_s", "text"), [(0.0, 9.0, "before"), (2.0, 9.0, "after")])
def test_without_contact_there_is_no_reading(lost_s: float, found_s: float, text: str) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        loop = asyncio.get_running_loop()
        loop.call_later(lost_s, setattr, bench.stub, "lead_open", True)
        loop.call_later(found_s, setattr, bench.stub, "lead_open", False)
        with pytest.raises(ReplyInvalid, match=f"no contact {text}"):
            await bench.measure()
        await asyncio.sleep(1.0)
        assert abs(bench.volts()) < 10.0

    run(main)


def test_a_route_that_was_not_closed_is_no_contact() -> None:
    async def main() -> None:
        bench = await Bench(1e13, farad=1e-9).identified()
        with pytest.raises(ReplyInvalid, match="no contact before"):
            await bench.measure()

    run(main)


def test_a_foreign_voltage_is_refused_and_nothing_is_put_onto_it() -> None:
    async def main() -> None:
        bench = Bench(at_first_v=400.0, farad=1e-3)
        await bench.identified()
        with pytest.raises(DeviceRefused, match="Foreign voltage"):
            await bench.measure()
        assert bench.object.sources == []

    run(main)


def test_without_the_enable_it_is_refused() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        bench.stub.enabled = False
        with pytest.raises(DeviceRefused, match="Interlock"):
            await bench.measure()
        assert bench.object.sources == []

    run(main)


def test_an_enable_that_goes_away_ends_the_measurement() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(2.0, setattr, bench.stub, "enabled", False)
        with pytest.raises(DeviceRefused, match="not finished"):
            await bench.measure()
        assert abs(bench.volts()) < 10.0

    run(main)


def test_a_tester_that_restarts_during_a_measurement_is_noticed_and_set_up_anew() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(2.0, bench.stub.restart)
        with pytest.raises(DeviceRestarted):
            await bench.measure()
        await bench.identified()
        assert right(await bench.measure())

    run(main)


@pytest.mark.parametrize("cut", ["revoke", "cancel", "unplug", "silence"])
def test_whatever_ends_a_measurement_early_asks_the_voltage_off(cut: str) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        measuring = asyncio.ensure_future(bench.measure())
        await asyncio.sleep(2.0)
        assert bench.volts() > 400.0
        if cut == "revoke":
            bench.book.revoke_all()
        elif cut == "cancel":
            measuring.cancel()
        elif cut == "unplug":
            unplug(bench.line)
        else:
            bench.line.device.tamper = lambda data: []
        with pytest.raises((LeaseRevoked, asyncio.CancelledError, LinkDown, DeviceTimeout)):
            await measuring
        if cut == "unplug":
            bench.line.station.down = False
            bench.driver.off()
        await asyncio.sleep(0.4)
        assert bench.heard[-1] == ":SAFE:STOP"
        assert abs(bench.volts()) < 10.0
        assert bench.starts == 1

    run(main)


def test_off_takes_no_time_and_raises_nothing() -> None:
    async def main() -> None:
        bench = Bench()
        bench.line.station.down = True
        bench.driver.off()
        bench.book.revoke_all()
        bench.line.station.down = False
        bench.driver.off()
        await asyncio.sleep(0.1)
        assert bench.heard == [":SAFE:STOP"]

    run(main)


@every_fault
def test_a_fault_on_the_line_never_gives_a_wrong_value_nor_a_second_start(fault: Fault) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        await suffer(bench.line, fault, bench.measure, right)
        assert bench.starts <= 1
        await asyncio.sleep(1.0)
        assert abs(bench.volts()) < 10.0

    run(main)


@every_fault
def test_a_fault_during_the_measurement_never_gives_a_wrong_value(fault: Fault) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        await bench.measure()
        asyncio.get_running_loop().call_later(1.0, setattr, bench.line.device, "tamper", fault.tamper())
        with contextlib.suppress(*fault.raises):
            assert right(await bench.measure())
        assert bench.starts == 2
        bench.line.device.tamper = None
        await asyncio.sleep(1.0)
        assert abs(bench.volts()) < 10.0

    run(main)


@every_malformed_number
@pytest.mark.parametrize("from_s", [0.0, 2.0])
def test_what_is_no_number_is_no_reading(text: bytes, from_s: float) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(from_s, setattr, bench.line.device, "tamper", number_reads(text))
        with pytest.raises(ReplyInvalid):
            await bench.measure()

    run(main)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_a_slip_of_the_prefix_is_noticed(factor: float) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(2.0, setattr, bench.line.device, "tamper", scaled(factor))
        with pytest.raises(ReplyInvalid):
            await bench.measure()

    run(main)


@pytest.mark.parametrize("ohm", [2.1e6, 30e6, 300e6, 3e9, 9.9e9])
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_a_slip_of_the_resistance_alone_is_noticed(ohm: float, factor: float) -> None:
    async def main() -> None:
        bench = Scripted({MEASURED: twice(f"+2E-07,{ohm * factor:+.3E},{501.0 / ohm:+.3E},+2E-07")})
        with pytest.raises(ReplyInvalid):
            await bench.measure()

    run(main)


def test_readings_that_do_not_move_are_stuck() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        bench.line.device.tamper = frozen(pattern=GIGAOHMS)
        for _ in range(FROZEN - 1):
            await bench.measure()
        with pytest.raises(ReplyInvalid, match="stuck"):
            await bench.measure()

    run(main)


def test_a_meter_that_hangs_is_stuck_at_the_second_measurement() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        stub: Any = bench.stub
        volts_v, ohms = 500.0, 1e9
        stub._output.shown_v = lambda volts, t_s: volts_v
        stub._output.shown_a = lambda amps, t_s: volts_v / ohms
        stub._shown_ohm = lambda measured, t_s: ohms
        await bench.measure()
        with pytest.raises(ReplyInvalid, match="stuck: 2 identical"):
            await bench.measure()

    run(main)


def test_an_unplugged_line_is_said_to_be_down() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        await suffer_unplug(bench.line, bench.measure, after_s=0.3)

    run(main)


@settings(max_examples=40, deadline=None)
@given(tamper=damages(), from_s=st.sampled_from((0.0, 1.0, 3.9)))
def test_no_damage_gives_a_wrong_value(tamper: Tamper, from_s: float) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        await bench.measure()
        asyncio.get_running_loop().call_later(from_s, setattr, bench.line.device, "tamper", tamper)
        with contextlib.suppress(DeviceError):
            assert right(await bench.measure())
        assert bench.starts <= 2

    run(main)


@settings(max_examples=30, deadline=None)
@given(positions=st.lists(st.integers(0, 300), max_size=8))
def test_however_the_bytes_are_cut_the_value_is_the_same(positions: list[int]) -> None:
    async def main() -> None:
        bench = Scripted()
        bench.peer.line.device.tamper = cut_at(positions)
        assert (await bench.measure()).ohm == 2.13e9

    run(main)
