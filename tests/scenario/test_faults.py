"""Station faults: INVALID, a person's ABORTED, or survived; never FAIL, and no PASS on a damaged reading; always safe.

Every serial device is disturbed in a step that rests on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bmsctl.compose.eol import EolStation
from bmsctl.domain.events import StepRepeated
from bmsctl.errors import DeviceError
from bmsctl.store.reader import Reader
from firmware_stubs.disturbances import Disturbances
from firmware_stubs.faults import FAULTS
from firmware_stubs.world import SimSite
from tests.support.simulate import Simulation, first_not_pass

SEED = 5

USED: Mapping[str, tuple[str, float]] = {
    "digitizer": ("contactors_open", 0.1),
    "lv_supply": ("quiescent_current", 0.1),
    "ohmmeter": ("bonding", 1.0),
    "insulation_tester": ("insulation_outer", 0.1),
    "withstand_tester": ("withstand", 0.1),
    "cycler": ("dcir", 0.1),
}
"""A step that reads the device, and when in it the fault begins."""

SURVIVED = ("serial.split", "serial.restart")
UNSEEN = {("withstand_tester", "serial.frozen")}
"""It is read once: the first reading of a meter that hangs from then on is right."""

INVALID = [
    *(
        (kind, device, step, after_s)
        for device, (step, after_s) in USED.items()
        for kind, row in FAULTS.items()
        if device in row.targets and kind not in SURVIVED and (device, kind) not in UNSEEN
    ),
    ("serial.restart", "withstand_tester", "withstand", 0.1),
    ("serial.restart", "insulation_tester", "withstand", 9.0),
    ("serial.silent", "digitizer", "insulation_live", 6.0),
    ("serial.silent", "cycler", "ship_soc", 60.0),
    ("can.silent", "bms", "bms_identity", 0.1),
    ("can.silent", "bms", "insulation_live", 6.0),
    ("can.silent", "matrix", "dcir", 0.1),
    ("can.bus_off", "bms", "cells_at_rest", 0.1),
    ("can.bus_off", "bms", "contactors_open", 0.1),
    ("plc.silent", "plc", "bms_identity", 0.1),
    ("plc.silent", "plc", "insulation_live", 6.0),
]


def fault(kind: str, device: str, step: str, after_s: float = 0.0) -> str:
    """A scenario with one fault."""
    return f'[[fault]]\nkind = "{kind}"\ntarget = "{device}"\nstep = "{step}"\nafter = "{after_s} s"\n'


def everywhere(kind: str, but: str = "", **more: tuple[str, float]) -> str:
    """A scenario with one fault of every device that is used in a step, `but` one."""
    return "".join(fault(kind, device, *where) for device, where in {**USED, **more}.items() if device != but)


def readings(record: Mapping[str, Any]) -> dict[tuple[str, str], float | None]:
    return {(step["name"], one["name"]): one["value"] for step in record["steps"] for one in step["measurements"]}


def repeated(store: Path, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Which steps were repeated, and why."""
    with Reader.open(store) as reader:
        run = reader._run(record["record_id"])
    assert run is not None
    return [(event.step, event.reason) for event in run.events if isinstance(event, StepRepeated)]


@pytest.mark.parametrize(("kind", "device", "step", "after_s"), INVALID)
def test_a_fault_is_invalid_names_the_device_and_holds_the_pack(
    tmp_path: Path, kind: str, device: str, step: str, after_s: float
) -> None:
    record = Simulation(tmp_path, seed=SEED, scenario=fault(kind, device, step, after_s)).run()
    assert first_not_pass(record) == (step, "INVALID")
    assert (record["verdict"], record["disposition"]) == ("INVALID", "hold")
    assert f"{device}: " in record["reason"]
    assert all(step["verdict"] != "FAIL" for step in record["steps"])


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
    where = [(step, device) for device, (step, _) in USED.items() if device not in ("digitizer", "withstand_tester")]
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
