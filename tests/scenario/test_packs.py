"""Packs of both platforms at end of line: good ones pass, and the last channel of each kind is not forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmsctl.compose.campaign import SimJob, run_jobs
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.simulation import simulate_one
from bmsctl.compose.worlds import defect_cases
from tests.support.simulate import defect, first_not_pass

PACKS = ("AS40", "AM60")

LAST = {
    ("AS40", "cells_at_rest"): defect("cell_voltage", cell=72, offset="-50 mV"),
    ("AS40", "dcir"): defect("busbar_joint", joint=4, resistance="260 uOhm"),
    ("AS40", "temperatures"): defect("temperature_sensor", sensor=9, open=True),
    ("AS40", "balancing_channels"): defect("balancing_channel", cell=72, stuck="off"),
    ("AM60", "cells_at_rest"): defect("cell_voltage", cell=96, offset="-50 mV"),
    ("AM60", "dcir"): defect("busbar_joint", joint=22, resistance="260 uOhm"),
    ("AM60", "temperatures"): defect("temperature_sensor", sensor=24, offset="-10 K"),
    ("AM60", "balancing_channels"): defect("balancing_channel", cell=96, stuck="off"),
}


@pytest.mark.parametrize("pack", PACKS)
def test_good_packs_pass(tmp_path: Path, pack: str) -> None:
    result = simulate_one(
        pack=pack, recipes=None, seed=0, scenario=None, scenario_file="", store=tmp_path, retest_cause=None
    )
    assert result.findings == []
    assert result.record is not None
    assert (result.record["verdict"], first_not_pass(result.record)) == ("PASS", None)


@pytest.mark.parametrize(("pack", "step"), LAST, ids=lambda part: part)
def test_a_defect_of_the_last_part_is_found_at_its_step(pack: str, step: str) -> None:
    (outcome,) = run_jobs([SimJob(f"{pack} {step}", pack, 3, LAST[pack, step])], None, 1)
    assert outcome.first_not_pass == (step, "FAIL")


@pytest.mark.parametrize("pack", PACKS)
def test_half_the_insulation_fails(pack: str) -> None:
    cases = {case.name: case for case in defect_cases("sim", RecipeBook(None).by_pack(pack))}
    case = cases["insulation positive twice"]
    (outcome,) = run_jobs([SimJob(case.name, pack, 3, case.scenario)], None, 1)
    assert outcome.first_not_pass == ("insulation_live", "FAIL")
