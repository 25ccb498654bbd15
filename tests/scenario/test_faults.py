"""The fault table: INVALID, a person's ABORTED, or survived; FAIL only for what the pack does; always safe and in time.

Every kind of fault, and every serial device disturbed in a step that rests on it. `bmsctl sim campaign` runs the whole
table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bmsctl.compose.campaign import SimJob, SimOutcome, run_jobs
from bmsctl.compose.eol import EolStation
from bmsctl.compose.fault_campaign import difference
from bmsctl.compose.worlds import fault_cases
from bmsctl.domain.events import StepRepeated
from bmsctl.domain.links import CanFrame
from bmsctl.domain.world import FaultCase
from bmsctl.errors import DeviceError
from bmsctl.protocols import plc
from bmsctl.store.reader import Reader
from firmware_stubs.disturbances import Disturbances
from firmware_stubs.fault_cases import INSTRUMENTS
from firmware_stubs.faults import FAULTS
from firmware_stubs.scenario import Fault
from firmware_stubs.world import SimSite
from tests.support.simulate import RECIPE, Simulation

SEED = 5

CASES = fault_cases("sim", RECIPE)

NOTICED_WITHIN_S = {
    "can.silent": 0.35,
    "can.check": 0.35,
    "can.flood": 0.35,
    "can.frozen": 0.55,
    "can.swapped": 1.0,
    "bms.second": 2.0,
    "plc.silent": 0.3,
    "plc.replay": 0.35,
    "plc.proof_low": 1.0,
}
"""With high voltage permitted, from the fault to the permit given back; a challenge comes every 50 ms."""
TIMED = [case for case in CASES if case.begins_in == "insulation_live" and case.kind in NOTICED_WITHIN_S]
SURVIVED = [case for case in CASES if case.verdict == "PASS"]
"""Run together below, several in one run."""


def one_of_each(cases: Iterable[FaultCase]) -> list[FaultCase]:
    """Each kind once, on one device in one step after the other; `bmsctl sim campaign` runs all."""
    found: dict[str, list[FaultCase]] = {}
    for case in cases:
        found.setdefault(case.kind, []).append(case)
    return [cases[number % len(cases)] for number, cases in enumerate(found.values())]


ENDED = one_of_each(case for case in CASES if case not in TIMED + SURVIVED)


def fault(kind: str, device: str, step: str, after_s: float = 0.0) -> str:
    """A scenario with one fault."""
    return f'[[fault]]\nkind = "{kind}"\ntarget = "{device}"\nstep = "{step}"\nafter = "{after_s} s"\n'


def everywhere(kind: str, but: str = "", **more: tuple[str, float]) -> str:
    """A scenario with one fault of every device that is used in a step, `but` one."""
    return "".join(fault(kind, device, *where) for device, where in {**INSTRUMENTS, **more}.items() if device != but)


def readings(record: Mapping[str, Any]) -> dict[tuple[str, str], float | None]:
    return {(step["name"], one["name"]): one["value"] for step in record["steps"] for one in step["measurements"]}


def repeated(store: Path, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Which steps were repeated, and why."""
    with Reader.open(store) as reader:
        run = reader._run(record["record_id"])
    assert run is not None
    return [(event.step, event.reason) for event in run.events if isinstance(event, StepRepeated)]


@pytest.mark.parametrize("case", ENDED, ids=lambda case: case.name)
def test_every_fault_ends_as_the_table_says(case: FaultCase) -> None:
    (outcome,) = run_jobs([SimJob(case.name, RECIPE.id, SEED, case.scenario)], None, 1)
    assert difference(case, outcome) == ""
    assert outcome.record is not None
    assert outcome.record["disposition"] == "hold"


def test_the_table_has_every_kind_of_fault() -> None:
    assert {case.kind for case in CASES} == {name for name, kind in FAULTS.items() if kind.at("eol")}


class Reaction:
    """When a fault began, and when the station then gave back the permit."""

    def __init__(self) -> None:
        self.begun_s = self.dropped_s = float("inf")

    def watch(self, site: SimSite, station: EolStation) -> None:
        """Look at the fault's beginning and at all frames that leave the station."""
        now = asyncio.get_running_loop().time
        injector, tap = site.watch._injector, site.wires.on_frame
        begin = injector._begin
        assert tap is not None

        def begun(fault: Fault, target: str) -> None:
            self.begun_s = now()
            begin(fault, target)

        def sent(frame: CanFrame) -> None:
            request = plc.decode_request(frame.data) if frame.can_id == plc.REQUEST_ID else None
            if request is not None and not request.permit and now() >= self.begun_s:
                self.dropped_s = min(self.dropped_s, now())
            tap(frame)

        injector._begin, site.wires.on_frame = begun, sent


@pytest.mark.parametrize("case", TIMED, ids=lambda case: case.kind)
def test_high_voltage_is_given_back_in_time(tmp_path: Path, case: FaultCase) -> None:
    reaction = Reaction()
    record = Simulation(tmp_path, seed=SEED, scenario=case.scenario).run(reaction.watch)
    assert difference(case, SimOutcome(SimJob(case.name, RECIPE.id, SEED), record)) == ""
    assert 0.0 < reaction.dropped_s - reaction.begun_s <= NOTICED_WITHIN_S[case.kind]


def test_every_deadline_is_tried() -> None:
    assert {case.kind for case in TIMED} == set(NOTICED_WITHIN_S)


@pytest.mark.parametrize(("kind", "step"), [("plc.discharge_open", "ship_soc"), ("plc.proof_low", "precharge")])
def test_a_station_that_cannot_prove_the_pack_dead_stays_locked(tmp_path: Path, kind: str, step: str) -> None:
    stations: list[EolStation] = []
    simulation = Simulation(tmp_path, seed=SEED, scenario=fault(kind, "plc", step))
    record = simulation.run(lambda site, station: stations.append(station))
    assert record["verdict"] == "INVALID"
    (station,) = stations
    assert not station.sequencer.proved
    assert "do not touch" in record["steps"][-1]["reason"]


def test_answers_in_pieces_change_nothing(tmp_path: Path) -> None:
    undisturbed = Simulation(tmp_path / "undisturbed", seed=SEED).run()
    scenario = everywhere("serial.split", label_printer=("make_safe", 0.0))

    def scanner_too(site: SimSite, station: EolStation) -> None:
        Disturbances(site.wiring, SEED).split_serial("scanner", True)

    record = Simulation(tmp_path / "pieces", seed=SEED, scenario=scenario).run(scanner_too)
    assert record["verdict"] == "PASS"
    assert readings(record) == pytest.approx(readings(undisturbed), rel=1e-9, abs=1e-12)


def test_a_step_whose_device_restarts_is_repeated_and_passes(tmp_path: Path) -> None:
    scenario = everywhere("serial.restart", but="withstand_tester", digitizer=("insulation_live", 6.0))
    scenario += fault("serial.restart", "cycler", "ship_soc", 60.0)
    record = Simulation(tmp_path, seed=SEED, scenario=scenario).run()
    assert record["verdict"] == "PASS"
    where = [
        (step, device) for device, (step, _) in INSTRUMENTS.items() if device not in ("digitizer", "withstand_tester")
    ]
    where[-1:] = [("insulation_live", "digitizer"), ("dcir", "cycler"), ("ship_soc", "cycler")]
    assert [(step, reason.partition(":")[0]) for step, reason in repeated(tmp_path, record)] == where


@pytest.mark.parametrize("step", ["insulation_outer", "dcir", "make_safe"])
@pytest.mark.parametrize("kind", ["safety.estop", "safety.guard"])
def test_a_person_ends_the_run(tmp_path: Path, kind: str, step: str) -> None:
    record = Simulation(tmp_path, seed=SEED, scenario=fault(kind, "plc", step)).run()
    assert (record["verdict"], record["disposition"]) == ("ABORTED", "hold")
    assert all(step["verdict"] != "FAIL" for step in record["steps"])


def test_a_plc_that_falls_silent_while_making_safe_is_seen(tmp_path: Path) -> None:
    record = Simulation(tmp_path, seed=SEED, scenario=fault("plc.silent", "plc", "make_safe")).run()
    assert record["verdict"] == "INVALID"


def test_noise_that_ends_is_survived_or_invalid(tmp_path: Path) -> None:
    """Reads are read again; what moves something is not."""
    scenario = fault("serial.garbage", "digitizer", "contactors_open", 1.45) + 'lasts = "0.2 s"\n'
    records = [Simulation(tmp_path / f"{seed}", seed=seed, scenario=scenario).run() for seed in range(2)]
    assert {record["verdict"] for record in records} <= {"PASS", "INVALID"}
    assert "PASS" in {record["verdict"] for record in records}


@pytest.mark.parametrize("kind", ["serial.silent", "serial.garbage"])
def test_a_label_that_is_not_printed_changes_no_verdict(tmp_path: Path, kind: str) -> None:
    record = Simulation(tmp_path, seed=SEED, scenario=fault(kind, "label_printer", "make_safe")).run()
    assert record["verdict"] == "PASS"


@pytest.mark.parametrize("kind", ["serial.silent", "serial.garbage", "serial.late", "serial.unplugged"])
def test_no_run_begins_without_a_label(tmp_path: Path, kind: str) -> None:
    def disturb(site: SimSite, station: EolStation) -> None:
        FAULTS[kind].act(Disturbances(site.wiring, SEED), "scanner", True)

    with pytest.raises(DeviceError, match="scanner: "):
        Simulation(tmp_path, seed=SEED).run(disturb)
