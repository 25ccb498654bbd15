"""Each kind of defect is found at its step with its verdict at twice the limit, and, at end of line, not at half of it.

What is at half its limit is tried several defects at a time, none of a kind twice: a pack that passes passes each.

`bmsctl sim defects --seeds 20` runs the whole table on more packs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from bmsctl.compose.campaign import SimJob, run_jobs
from bmsctl.compose.defect_table import difference
from bmsctl.compose.worlds import defect_cases
from bmsctl.domain.world import DefectCase
from firmware_stubs.defects import DEFECTS
from tests.support.simulate import RECIPE, Simulation, defect, first_not_pass

EOL = defect_cases("sim", RECIPE, "eol")
STACKING = defect_cases("sim", RECIPE, "stacking")


def one_of_each(cases: Iterable[DefectCase]) -> list[DefectCase]:
    """The first case of each kind of defect at each step it is found at."""
    first: dict[tuple[str, ...], DefectCase] = {}
    for case in cases:
        if case.expected:
            first.setdefault((case.station, case.name.split()[0], *(step for step, _ in case.expected)), case)
    return list(first.values())


SHOWN = one_of_each((*EOL, *STACKING))


def together(cases: Iterable[DefectCase]) -> list[list[DefectCase]]:
    """The cases in groups that hold no kind of defect twice."""
    groups: list[list[DefectCase]] = []
    for case in cases:
        kind = case.name.split()[0]
        group = next((each for each in groups if all(kind != other.name.split()[0] for other in each)), None)
        if group is None:
            groups.append(group := [])
        group.append(case)
    return groups


HALF = together(case for case in EOL if not case.expected)


@pytest.mark.parametrize("cases", HALF, ids=lambda cases: f"{len(cases)} defects")
def test_no_defect_shows_at_half_its_limit(cases: list[DefectCase]) -> None:
    scenario = "\n".join(case.scenario for case in cases)
    (outcome,) = run_jobs([SimJob("half", RECIPE.id, 3, scenario)], None, 1)
    assert [difference(case, outcome) for case in cases] == [""] * len(cases)


@pytest.mark.parametrize("case", SHOWN, ids=lambda case: f"{case.station} {case.name}")
def test_every_defect_shows_where_it_belongs(case: DefectCase) -> None:
    (outcome,) = run_jobs([SimJob(case.name, RECIPE.id, 3, case.scenario, station=case.station)], None, 1)
    assert difference(case, outcome) == ""


def test_the_table_has_every_kind_of_defect() -> None:
    assert {case.name.split()[0] for case in (*EOL, *STACKING)} == set(DEFECTS)


@pytest.mark.parametrize("resistance", ["0 Ohm", "10 mOhm"])
def test_a_shorted_precharge_resistor_is_known_to_be_below_the_limit(tmp_path: Path, resistance: str) -> None:
    record = Simulation(tmp_path, seed=1, scenario=defect("precharge_resistor", resistance=resistance)).run()
    assert first_not_pass(record) == ("precharge", "FAIL")
    precharge = next(step for step in record["steps"] if step["name"] == "precharge")
    value = next(value for value in precharge["measurements"] if value["name"] == "precharge_resistance")
    assert value["reason"] == "below low"
    assert 0.0 < value["value"] < 2.0


def test_after_a_weld_nothing_more_is_energised(tmp_path: Path) -> None:
    record = Simulation(tmp_path, seed=1, scenario=defect("contactor_welded", which="main_plus")).run()
    forbidden = ("insulation_outer", "withstand", "precharge", "insulation_live", "dcir", "ship_soc")
    steps = {step["name"]: step for step in record["steps"]}
    for name in forbidden:
        assert steps[name]["verdict"] is None
        assert "contactors_open" in steps[name]["reason"]


@pytest.mark.parametrize("scenario", [defect("sense_open", cell=20), defect("temperature_sensor", sensor=4, open=True)])
def test_no_current_flows_through_cells_that_are_not_watched(tmp_path: Path, scenario: str) -> None:
    record = Simulation(tmp_path, seed=1, scenario=scenario).run()
    verdicts = {step["name"]: step["verdict"] for step in record["steps"]}
    assert (verdicts["dcir"], verdicts["ship_soc"]) == (None, None)
    assert verdicts["balancing_channels"] is not None


def test_a_failed_precharge_keeps_main_plus_open(tmp_path: Path) -> None:
    record = Simulation(tmp_path, seed=1, scenario=defect("contactor_stuck_open", which="precharge")).run()
    precharge = next(step for step in record["steps"] if step["name"] == "precharge")
    loaded = next(value for value in precharge["measurements"] if value["name"] == "loaded_ratio")
    assert (loaded["value"], loaded["verdict"]) == (None, "INVALID")


def test_a_pack_that_arrives_live_is_put_on_record_and_nothing_is_run(tmp_path: Path) -> None:
    both = "\n".join(defect("contactor_welded", which=which) for which in ("main_plus", "main_minus"))
    record = Simulation(tmp_path, seed=1, scenario=both).run()
    assert (record["verdict"], record["disposition"]) == ("INVALID", "hold")
    assert "60 V" in record["reason"]
    assert {step["verdict"] for step in record["steps"]} == {None}


@pytest.mark.parametrize(("code", "step"), [("1B01-87", "cells_at_rest"), ("1B0A-73", "contactors_open")])
def test_a_trouble_code_fails_the_step_that_owns_it(tmp_path: Path, code: str, step: str) -> None:
    record = Simulation(tmp_path, seed=1, scenario=defect("bms_dtc", code=code)).run()
    assert first_not_pass(record) == (step, "FAIL")
