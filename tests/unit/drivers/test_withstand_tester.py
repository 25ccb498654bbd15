"""The withstand tester's driver: against its golden conversation, and against the stub on a line that fails."""

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
from bmsctl.domain.ports import WithstandReading
from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.drivers.scpi import FROZEN
from bmsctl.drivers.withstand_tester import ScpiWithstandTester
from bmsctl.errors import (
    DeviceError,
    DeviceRefused,
    DeviceRestarted,
    DeviceTimeout,
    LeaseRevoked,
    LinkDown,
    ReplyInvalid,
)
from firmware_stubs.plant import Node
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from firmware_stubs.withstand_tester import WithstandTesterStub
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
)

VOLTAGE, RAMP, HOLD, TRIP = Volt(2250.0), Second(4.5), Second(2.0), Ampere(0.005)
GOOD_OHM = 50e6
JUDGEMENTS, OUTPUTS, MEASURED = ":SAFE:RES:ALL?", ":SAFE:RES:ALL:OMET?", ":SAFE:RES:ALL:MMET?"
RAMP_TIMES, TEST_TIMES = ":SAFE:RES:ALL:TIME:RAMP?", ":SAFE:RES:ALL:TIME?"
KILOVOLTS = re.compile(rb"[+]2\.(?!250000)\d+E[+]03")
"""A measured voltage, but not the setting."""


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def twice(text: str) -> str:
    return f"{text};{text}"


class Bench:
    """Driver and stub on one line, an object at the stub's output; `heard`: what the stub was sent."""

    def __init__(self, ohm: float = GOOD_OHM, breakdown_v: float = math.inf, at_first_v: float = 0.0) -> None:
        self.object = InsulatedObject(ohm, breakdown_v=breakdown_v, at_first_v=at_first_v)
        self.line = SimSerial("withstand_tester")
        self.stub = WithstandTesterStub(self.line.device, self.object, 1)
        self.stub.enabled = True
        self.heard: list[str] = []
        garble_commands(self.line, self._hear)
        self.driver = ScpiWithstandTester(self.line.station)
        self.book = LeaseBook(asyncio.get_running_loop().time)
        self.lease = self.book.grant("withstand_tester", 1.0)

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

    async def test(self) -> WithstandReading:
        return await self.driver.test(self.lease, VOLTAGE, RAMP, HOLD, TRIP)


class Scripted:
    """The driver, and a tester that answers as written down."""

    def __init__(self, instead: dict[str, str] | None = None) -> None:
        self.peer = ScriptedTester("withstand_tester", instead)
        self.driver = ScpiWithstandTester(self.peer.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant("withstand_tester", 1.0)

    async def test(self) -> WithstandReading:
        return await self.driver.test(self.lease, VOLTAGE, RAMP, HOLD, TRIP)


def right(reading: WithstandReading) -> bool:
    """45 uA at 2250 V, no breakdown."""
    return (
        not reading.tripped
        and math.isclose(reading.voltage, VOLTAGE, rel_tol=0.05)
        and math.isclose(reading.current, VOLTAGE / GOOD_OHM, rel_tol=0.15)
    )


def test_a_test_is_the_golden_conversation() -> None:
    async def main() -> None:
        bench = Scripted()
        assert await bench.test() == WithstandReading(voltage=2247.0, current=2.3e-6, tripped=False)
        assert bench.peer.heard == [said for said, _ in conversation("withstand_tester")]

    run(main)


@pytest.mark.parametrize(
    ("answers", "error", "text"),
    [
        ({OUTPUTS: twice("+1E+01,+2.1E+03,+1E+01")}, ReplyInvalid, "test voltage"),
        ({OUTPUTS: twice("+1E+01,+2.4E+03,+1E+01")}, ReplyInvalid, "test voltage"),
        ({OUTPUTS: twice("+1E+01,+2.25E+00,+1E+01")}, ReplyInvalid, "test voltage"),
        ({OUTPUTS: twice("+1E+01,+9.9E+37,+1E+01")}, ReplyInvalid, "test voltage inf is implausible"),
        ({RAMP_TIMES: twice("+0E+00,+4.4E+00,+0E+00")}, ReplyInvalid, "time of the ramp"),
        ({TEST_TIMES: twice("+2E-01,+1.9E+00,+2E-01")}, ReplyInvalid, "time of the hold"),
        ({MEASURED: twice("+4E-07,+6.0E-03,+4E-07")}, ReplyInvalid, "leakage current"),
        ({MEASURED: twice("+4E-07,+9.9E+37,+4E-07")}, ReplyInvalid, "leakage current inf is implausible"),
        ({MEASURED: twice("+4E-07,-1.0E-06,+4E-07")}, ReplyInvalid, "leakage current"),
        ({MEASURED: twice("+1E-09,+2.3E-06,+4E-07")}, ReplyInvalid, "no contact before"),
        ({MEASURED: twice("+4E-07,+2.3E-06,+1E-09")}, ReplyInvalid, "no contact after"),
        ({JUDGEMENTS: twice("98,112,112")}, ReplyInvalid, "no contact before"),
        ({JUDGEMENTS: twice("116,116,98")}, ReplyInvalid, "no contact after"),
        ({JUDGEMENTS: twice("116,112,112")}, DeviceRefused, "not finished"),
        ({JUDGEMENTS: twice("116,34,112")}, ReplyInvalid, "DC_LOW"),
        ({JUDGEMENTS: twice("116,33,112")}, ReplyInvalid, "breakdown current"),
        (
            {":SAFE:STEP2:MODE?": "DC;DC;2.25E+03;0.005;0;0;4.6;2;0.3"},
            ReplyInvalid,
            "RAMP was set to 4.5 and reads 4.6",
        ),
        ({":SAFE:STEP2:MODE?": "DC;DC;2.25E+03;0.01;0;0;4.5;2;0.3"}, ReplyInvalid, "LIM was set to 0.005"),
        ({":SAFE:STAR": '-200,"Execution error;Foreign voltage 40 V"'}, DeviceRefused, "Foreign voltage"),
        ({":SAFE:STAT?": "STOPPED"}, ReplyInvalid, "does not run"),
    ],
)
def test_an_answer_that_cannot_be_is_not_a_reading(
    answers: dict[str, str], error: type[DeviceError], text: str
) -> None:
    async def main() -> None:
        bench = Scripted(answers)
        with pytest.raises(error, match=text):
            await bench.test()

    run(main)


@pytest.mark.parametrize("code", [33, 39])
def test_a_trip_is_a_result_and_needs_no_proof_of_contact(code: int) -> None:
    async def main() -> None:
        bench = Scripted(
            {
                JUDGEMENTS: twice(f"116,{code},112"),
                OUTPUTS: twice("+1E+01,+1.503E+03,+0E+00"),
                MEASURED: twice("+4E-07,+1.46E-02,+9.91E+37"),
                RAMP_TIMES: twice("+0E+00,+3.01E+00,+0E+00"),
                TEST_TIMES: twice("+2E-01,+0E+00,+0E+00"),
            }
        )
        assert await bench.test() == WithstandReading(voltage=1503.0, current=0.0146, tripped=True)

    run(main)


def test_a_good_object_stands_the_voltage() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        assert right(await bench.test())
        assert bench.lease.fresh
        assert abs(bench.volts()) < 10.0

    run(main)


@pytest.mark.parametrize("breakdown_v", [100.0, 1500.0, 2200.0])
def test_a_breakdown_is_told_with_its_voltage(breakdown_v: float) -> None:
    async def main() -> None:
        bench = await Bench(breakdown_v=breakdown_v).identified()
        reading = await bench.test()
        assert reading.tripped
        assert reading.voltage == pytest.approx(breakdown_v, rel=0.04)
        assert reading.current > TRIP
        assert abs(bench.volts()) < 10.0

    run(main)


def test_without_contact_there_is_no_reading() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(5.0, setattr, bench.stub, "lead_open", True)
        with pytest.raises(ReplyInvalid, match="no contact after"):
            await bench.test()

    run(main)


def test_an_enable_that_goes_away_ends_the_test() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(3.0, setattr, bench.stub, "enabled", False)
        with pytest.raises(DeviceRefused, match="not finished"):
            await bench.test()
        with pytest.raises(DeviceRefused, match="Interlock"):
            await bench.test()
        await asyncio.sleep(0.4)
        assert abs(bench.volts()) < 10.0

    run(main)


def test_a_tester_that_restarts_during_a_test_is_noticed() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(3.0, bench.stub.restart)
        with pytest.raises(DeviceRestarted):
            await bench.test()

    run(main)


@pytest.mark.parametrize("cut", ["revoke", "cancel", "unplug", "silence"])
def test_whatever_ends_a_test_early_asks_the_voltage_off(cut: str) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        testing = asyncio.ensure_future(bench.test())
        await asyncio.sleep(6.0)
        assert bench.volts() > 1500.0
        if cut == "revoke":
            bench.book.revoke_all()
        elif cut == "cancel":
            testing.cancel()
        elif cut == "unplug":
            bench.line.station.down = True
        else:
            bench.line.device.tamper = lambda data: []
        with pytest.raises((LeaseRevoked, asyncio.CancelledError, LinkDown, DeviceTimeout)):
            await testing
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
        assert bench.object.sources == []

    run(main)


@every_fault
def test_a_fault_on_the_line_never_gives_a_wrong_value_nor_a_second_start(fault: Fault) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        await suffer(bench.line, fault, bench.test, right)
        assert bench.starts <= 1
        await asyncio.sleep(1.0)
        assert abs(bench.volts()) < 10.0

    run(main)


@every_fault
def test_a_fault_during_the_test_never_gives_a_wrong_value(fault: Fault) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(3.0, setattr, bench.line.device, "tamper", fault.tamper())
        with contextlib.suppress(*fault.raises):
            assert right(await bench.test())
        assert bench.starts == 1
        bench.line.device.tamper = None
        await asyncio.sleep(1.0)
        assert abs(bench.volts()) < 10.0

    run(main)


@every_malformed_number
def test_what_is_no_number_is_no_reading(text: bytes) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(3.0, setattr, bench.line.device, "tamper", number_reads(text))
        with pytest.raises(ReplyInvalid):
            await bench.test()

    run(main)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_a_slip_of_the_prefix_is_noticed(factor: float) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(3.0, setattr, bench.line.device, "tamper", scaled(factor))
        with pytest.raises(ReplyInvalid):
            await bench.test()

    run(main)


def test_voltages_that_do_not_move_are_stuck() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        bench.line.device.tamper = frozen(pattern=KILOVOLTS)
        for _ in range(FROZEN - 1):
            await bench.test()
        with pytest.raises(ReplyInvalid, match="stuck"):
            await bench.test()

    run(main)


def test_a_meter_that_hangs_is_stuck_at_the_second_test() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        output: Any = bench.stub._output
        output.shown_v = lambda volts, t_s: 2250.0
        output.shown_a = lambda amps, t_s: 4.5e-05
        await bench.test()
        with pytest.raises(ReplyInvalid, match="stuck: 2 identical"):
            await bench.test()

    run(main)


def test_an_unplugged_line_is_said_to_be_down() -> None:
    async def main() -> None:
        bench = await Bench().identified()
        await suffer_unplug(bench.line, bench.test, after_s=0.3)

    run(main)


@settings(max_examples=30, deadline=None)
@given(tamper=damages(), from_s=st.sampled_from((0.0, 3.0, 7.5)))
def test_no_damage_gives_a_wrong_value(tamper: Tamper, from_s: float) -> None:
    async def main() -> None:
        bench = await Bench().identified()
        asyncio.get_running_loop().call_later(from_s, setattr, bench.line.device, "tamper", tamper)
        with contextlib.suppress(DeviceError):
            assert right(await bench.test())
        assert bench.starts <= 1

    run(main)


@settings(max_examples=30, deadline=None)
@given(positions=st.lists(st.integers(0, 300), max_size=8))
def test_however_the_bytes_are_cut_the_value_is_the_same(positions: list[int]) -> None:
    async def main() -> None:
        bench = Scripted()
        bench.peer.line.device.tamper = cut_at(positions)
        assert (await bench.test()).current == 2.3e-6

    run(main)
