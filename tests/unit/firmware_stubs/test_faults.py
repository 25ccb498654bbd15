"""When a fault of a scenario begins and ends and whom it hits, and what it does to the bytes on a line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from unittest.mock import call, create_autospec

import pytest

from bmsctl.errors import ScenarioError
from firmware_stubs.defects import condition_of
from firmware_stubs.disturbances import Disturbances
from firmware_stubs.eol_wiring import EolWiring
from firmware_stubs.faults import FAULTS, SCPI_DEVICES, TARGETS, Disturbable, FaultInjector
from firmware_stubs.ports import EOL_SERIAL, STACKING_ECUS, STACKING_SERIAL
from firmware_stubs.scenario import Fault
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wires import SimWires
from firmware_stubs.stacking_wiring import StackingWiring
from tests.support.simulate import RECIPE

SEED = 3


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 60.0)
    assert loop.errors == []


def fault(kind: str, target: str | None = None, *, after_s: float = 0.0, lasts_s: float | None = None) -> Fault:
    return Fault("here", kind, target, "precharge", after_s, lasts_s)


def test_every_target_is_wired() -> None:
    assert set(TARGETS["eol"]) == {"bms", "plc", "matrix", *EOL_SERIAL}
    assert set(TARGETS["stacking"]) == {"bms", "plc", "operator", *STACKING_SERIAL}


def test_every_kind_has_a_target_somewhere_and_none_that_nobody_has() -> None:
    for kind in FAULTS.values():
        assert set(kind.targets) == {*kind.at("eol"), *kind.at("stacking")}


def of_step(step: str, kind: str, target: str | None = None) -> Fault:
    return Fault("here", kind, target, step, 0.0, None)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (of_step("bolts", "serial.silent", "cycler"), "target = 'cycler': must be one of"),
        (of_step("precharge", "serial.silent", "nutrunner"), "target = 'nutrunner': must be one of digitizer"),
        (of_step("bolts", "supply.overshoot"), "step = 'bolts': the stacking station has nothing that it hits"),
        (of_step("identify", "operator.absent"), "step = 'identify': the eol station has nothing that it hits"),
    ],
)
def test_a_fault_that_cannot_hit_anything_at_its_station_is_refused(wrong: Fault, text: str) -> None:
    with pytest.raises(ScenarioError, match=f"here: {text}"):
        FaultInjector([wrong], create_autospec(Disturbable))


def test_at_each_station_a_fault_hits_what_that_has() -> None:
    """The device of a kind that the step talks to first, of those that the station has."""

    async def main() -> None:
        site = create_autospec(Disturbable)
        injector = FaultInjector([of_step("modules_in", "serial.frozen"), of_step("bolts", "operator.absent")], site)
        injector.step_started("modules_in")
        await asyncio.sleep(0.1)
        injector.talked_to("digitizer")
        injector.talked_to("scanner")
        injector.step_started("bolts")
        await asyncio.sleep(0.1)
        assert site.mock_calls == [call.freeze_readings("scanner", True), call.leave(True)]

    run(main)


def test_a_fault_begins_in_its_step_and_ends() -> None:
    async def main() -> None:
        site = create_autospec(Disturbable)
        injector = FaultInjector([fault("can.silent", "bms", after_s=1.0, lasts_s=0.5)], site)
        injector.step_started("identify")
        await asyncio.sleep(5.0)
        assert site.mock_calls == []
        injector.step_started("precharge")
        await asyncio.sleep(0.9)
        assert site.mock_calls == []
        await asyncio.sleep(0.2)
        assert site.mock_calls == [call.mute_can("bms", True)]
        await asyncio.sleep(0.5)
        assert site.mock_calls == [call.mute_can("bms", True), call.mute_can("bms", False)]

    run(main)


@pytest.mark.parametrize(
    ("kind", "talk", "hit"),
    [
        ("serial.silent", ["bms", "digitizer", "cycler"], "digitizer"),
        ("serial.malformed", ["bms", "digitizer", "cycler"], "cycler"),
        ("can.silent", ["digitizer", "matrix", "bms"], "matrix"),
        ("tester.contact", ["cycler", "withstand_tester", "ohmmeter"], "withstand_tester"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_without_a_target_the_first_device_of_its_kind_is_hit(
    kind: str, talk: list[str], hit: str, before: bool
) -> None:
    """Whether the station talked to it before the fault was due, or only afterwards."""

    async def main() -> None:
        site = create_autospec(Disturbable)
        injector = FaultInjector([fault(kind, after_s=1.0)], site)
        injector.step_started("precharge")
        await asyncio.sleep(0.5 if before else 1.5)
        for device in talk:
            injector.talked_to(device)
        await asyncio.sleep(1.0)
        assert [args for _, args, _ in site.mock_calls] == [(hit, True)]

    run(main)


def test_a_device_of_the_step_before_is_not_hit() -> None:
    async def main() -> None:
        site = create_autospec(Disturbable)
        injector = FaultInjector([fault("serial.silent")], site)
        injector.talked_to("ohmmeter")
        injector.step_started("precharge")
        await asyncio.sleep(1.0)
        assert site.mock_calls == []

    run(main)


def stacking() -> tuple[SimWires, StackingWiring]:
    wires = SimWires(STACKING_ECUS, STACKING_SERIAL)
    return wires, StackingWiring(RECIPE, condition_of((), RECIPE), SEED, wires)


class Line:
    """One serial line of a wired station, its instrument replaced by answers that a test writes."""

    def __init__(self, device: str) -> None:
        wiring: EolWiring | StackingWiring
        if device in EOL_SERIAL:
            wires = SimWires()
            wiring = EolWiring(RECIPE, condition_of((), RECIPE), SEED, wires)
        else:
            wires, wiring = stacking()
        self.device = device
        self.site = Disturbances(wiring, SEED)
        self.line = wires.lines[device]
        self.line.device.listen(lambda data: None)
        self.pieces: list[tuple[float, bytes]] = []
        self.line.station.attach(lambda data, t_s: self.pieces.append((t_s, data)))

    def do(self, kind: str, on: bool = True) -> None:
        FAULTS[kind].act(self.site, self.device, on)

    async def ask(self, query: bytes, answer: bytes) -> bytes:
        """What arrives of an answer to a query."""
        self.pieces.clear()
        self.line.station.write(query + b"\n")
        self.line.device.emit(answer + b"\r\n", 0.02)
        await asyncio.sleep(0.5)
        return b"".join(data for _, data in self.pieces).removesuffix(b"\r\n")


MEASURED = {
    "lv_supply": (b"*ESE 1;:FETC:CURR?;:CURR?;*ESR?;*ESE?", b"%b;+1.000000E-01;0;1", b"+8.065706E-04"),
    "ohmmeter": (b"*ESE 2;:READ?;:SENS:RES:RANG?;*ESR?;*ESE?", b"%b;1.0000E-01;0;2", b" 4.0123E-03"),
    "insulation_tester": (b"*ESE 3;:SAFE:RES:ALL:MMET?;*ESR?;*ESE?", b"%b;0;3", b"+1.100E-07,+1.282E+09"),
    "withstand_tester": (b"*ESE 4;:SAFE:RES:ALL:MMET?;:SAFE:PRES:TIME:STEP?;*ESR?;*ESE?", b"%b;0.1;0;4", b"+2.1E-06"),
    "cycler": (b"*ESE 5;:MEAS:ARR?;:SOUR:CURR?;*ESR?;*ESE?", b"%b;50.00 A;0;5", b"348.25 V, -50.03 A, -17423 W"),
    "battery_tester": (b"*ESE 6;:READ?;:VOLT:RANG?;*ESR?;*ESE?", b"%b;100.0000E+0;0;6", b"   8.860E-3, 86.2726E+0"),
}
"""A query, its answer, and what in it was measured."""


def test_every_instrument_has_a_measured_value_here() -> None:
    assert set(MEASURED) == set(SCPI_DEVICES)


@pytest.mark.parametrize("device", SCPI_DEVICES)
def test_only_what_is_measured_is_malformed_slips_or_freezes(device: str) -> None:
    query, answer, measured = MEASURED[device]
    slipped = {
        "lv_supply": b"+8.065706E-01",
        "ohmmeter": b" +4.012300E+00",
        "insulation_tester": b"+1.100000E-04,+1.282000E+12",
        "withstand_tester": b"+2.100000E-03",
        "cycler": b"+3.482500E+05 V, -5.003000E+04 A, -1.742300E+07 W",
        "battery_tester": b"   +8.860000E+00, +8.627260E+04",
    }

    async def main() -> None:
        line = Line(device)
        line.do("serial.prefix")
        assert await line.ask(query, answer % measured) == answer % slipped[device]
        line.do("serial.malformed")
        said = await line.ask(query, answer % measured)
        assert said.count(b"1.2.3") == measured.count(b",") + 1
        assert said.endswith(answer % b"")
        line.do("serial.frozen")
        await line.ask(query, answer % measured)
        assert await line.ask(query, answer % measured.replace(b"0", b"7")) == answer % measured
        line.do("serial.frozen", on=False)
        assert await line.ask(query, answer % b"+5.0E+00") == answer % b"+5.0E+00"

    run(main)


def test_an_answer_in_pieces_is_on_time() -> None:
    async def main() -> None:
        line = Line("cycler")
        whole = await line.ask(b"*IDN?", b"MAKER,MODEL,SERIAL,FIRMWARE")
        ((at_once_s, _),) = line.pieces
        asked_s = asyncio.get_running_loop().time()
        line.do("serial.split")
        assert await line.ask(b"*IDN?", b"MAKER,MODEL,SERIAL,FIRMWARE") == whole
        assert len(line.pieces) == 6
        assert line.pieces[-1][0] - asked_s == pytest.approx(at_once_s)

    run(main)


def test_an_answer_too_late_belongs_to_the_query_before() -> None:
    async def main() -> None:
        line = Line("ohmmeter")
        line.do("serial.late")
        assert await line.ask(b"1?", b"1") == b""
        assert await line.ask(b"2?", b"2") == b"1"

    run(main)


def test_noise_flips_some_bytes_and_as_many_arrive() -> None:
    async def main() -> None:
        line = Line("ohmmeter")
        line.do("serial.garbage")
        sent = bytes(range(32, 127)) * 2
        said = await line.ask(b"1?", sent)
        flipped = sum(a != b for a, b in zip(sent, said, strict=False))
        assert 5 < flipped < 60

    run(main)


@pytest.mark.parametrize("device", ["insulation_tester", "withstand_tester", "ohmmeter"])
def test_a_lost_contact_comes_back(device: str) -> None:
    async def main() -> None:
        wires = SimWires()
        wiring = EolWiring(RECIPE, condition_of((), RECIPE), SEED, wires)
        site = Disturbances(wiring, SEED)

        def lost() -> bool:
            return bool(wiring.ohmmeter.lost_contacts) if device == "ohmmeter" else getattr(wiring, device).lead_open

        for on in (True, False):
            FAULTS["tester.contact"].act(site, device, on)
            assert lost() is on

    run(main)


def test_a_contact_frame_that_is_lifted_comes_back() -> None:
    async def main() -> None:
        _, wiring = stacking()
        site = Disturbances(wiring, SEED)
        for device in ("battery_tester", "ohmmeter"):
            for on in (True, False):
                FAULTS["tester.contact"].act(site, device, on)
                lost = wiring.probes.lifted if device == "battery_tester" else bool(wiring.ohmmeter.lost_contacts)
                assert lost is on

    run(main)


def test_people_leave_and_come_back_and_results_are_kept() -> None:
    async def main() -> None:
        _, wiring = stacking()
        site = Disturbances(wiring, SEED)
        for on in (True, False):
            FAULTS["operator.absent"].act(site, "operator", on)
            FAULTS["operator.unqualified"].act(site, "operator", on)
            FAULTS["nutrunner.results_lost"].act(site, "nutrunner", on)
            people = wiring.operator
            assert (people.absent, people.unqualified, wiring.nutrunner.results_lost) == (on, on, on)

    run(main)


def test_at_stacking_a_bus_has_no_matrix() -> None:
    async def main() -> None:
        wires, wiring = stacking()
        FAULTS["can.swapped"].act(Disturbances(wiring, SEED), "plc", True)
        wires.bus("plc").station.latch([0x110])
        await asyncio.sleep(1.0)
        assert wires.bus("plc").station.newest(0x110) is None

    run(main)


def test_faults_of_a_bus_hit_every_device_on_it() -> None:
    async def main() -> None:
        wires = SimWires()
        site = Disturbances(EolWiring(RECIPE, condition_of((), RECIPE), SEED, wires), SEED)
        FAULTS["can.flood"].act(site, "matrix", True)
        assert wires.ecu("plc").tamper is not None
        assert wires.ecu("bms").tamper is None
        FAULTS["can.flood"].act(site, "matrix", False)
        assert (wires.ecu("plc").tamper, wires.ecu("matrix").tamper) == (None, None)
        FAULTS["can.swapped"].act(site, "plc", True)
        wires.bus("plc").station.latch([0x110])
        await asyncio.sleep(1.0)
        assert wires.bus("plc").station.newest(0x110) is None

    run(main)


def test_what_breaks_in_the_safety_chain_is_mended() -> None:
    async def main() -> None:
        wires = SimWires()
        wiring = EolWiring(RECIPE, condition_of((), RECIPE), SEED, wires)
        site = Disturbances(wiring, SEED)
        for on in (True, False):
            for kind in ("plc.replay", "plc.proof_low", "supply.ignores_off"):
                FAULTS[kind].act(site, FAULTS[kind].targets[0], on)
            assert (wires.ecu("plc").tamper_heard is not None) is on
            assert (wiring.plc.meter.reads_nothing, wiring.cycler.stuck) == (on, on)

    run(main)


@pytest.mark.parametrize("kind", ["contactor.stays_closed", "plc.discharge_open"])
def test_a_voltage_that_no_command_can_remove_is_no_violation(kind: str) -> None:
    async def main() -> None:
        wiring = EolWiring(RECIPE, condition_of((), RECIPE), SEED, SimWires())
        FAULTS[kind].act(Disturbances(wiring, SEED), FAULTS[kind].targets[0], True)
        assert wiring.monitor.excused

    run(main)
