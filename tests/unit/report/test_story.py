from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bmsctl.domain.recipe import Origin
from bmsctl.domain.steps import CATALOGUE
from bmsctl.report import story
from bmsctl.report.story import findings, skipped
from tests.support.simulate import RECIPE
from tests.unit.report.stacked import AS52, bad_bolt, cloned, step_named, stopped, values_until


def measurement(**changes: Any) -> dict[str, Any]:
    return {
        "name": "cell_deviation",
        "value": 0.031,
        "unit": "V",
        "low": None,
        "high": 0.025,
        "u95": 0.0015,
        "verdict": "FAIL",
        "reason": "above high: cell 17, median 3.5921 V",
    } | changes


def record(*measurements: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    step = {
        "name": "cells_at_rest",
        "verdict": "FAIL",
        "reason": "because",
        "measurements": list(measurements),
    } | changes
    return {"station": "eol", "steps": [{"name": "identify", "verdict": "PASS", "measurements": []}, step]}


@pytest.mark.parametrize("station", ["eol", "stacking"])
def test_every_measurement_of_the_catalogue_has_advice(station: str) -> None:
    for spec in CATALOGUE[station]:
        known = story._advice()[spec.name]
        assert set(known) - {"step", "measured"} == set(spec.measures)
        assert all(cause.endswith(".") or cause.endswith("?") for cause, _ in known.values())


def test_a_failed_value_is_told_with_limit_file_line_and_reason() -> None:
    origins = {"eol.cells_at_rest.limits.cell_deviation.high": Origin("platforms/p.toml", 77, "25 mV", "estimate")}
    (found,) = findings(record(measurement()), RECIPE, origins)
    assert found.measured == "cell_deviation is 31 mV ± 1.5 mV (cell 17, median 3.5921 V)"
    assert found.limit.startswith("at most 25 mV, platforms/p.toml line 77: estimate")
    assert found.cause
    assert found.look


def test_without_the_file_the_recipe_is_named() -> None:
    (found,) = findings(record(measurement()), RECIPE, {})
    assert f"recipe {RECIPE.id} revision {RECIPE.revision}" in found.limit


def test_a_value_inside_the_guard_band_says_so() -> None:
    (found,) = findings(record(measurement(value=0.0245, reason="guard_band")), RECIPE, {})
    assert "not by the uncertainty" in found.limit


def test_a_step_that_could_not_measure_is_the_stations() -> None:
    (found,) = findings(record(verdict="INVALID", reason="bms: silent"), RECIPE, {})
    assert (found.verdict, found.measured, found.limit) == ("INVALID", "bms: silent", "")


@pytest.mark.parametrize(
    ("value", "cause"),
    [(measurement(verdict="PASS"), "proved dead"), (measurement(value=None, verdict="INVALID"), "could not prove")],
)
def test_poles_that_are_proved_dead_are_not_called_unproved(value: Mapping[str, Any], cause: str) -> None:
    unsafe = record(value, name="make_safe", verdict="INVALID", reason="bms: not done within 0.3 s")
    (found,) = findings(unsafe, RECIPE, {})
    assert cause in found.cause
    assert ("electrician" in found.look) == (value["verdict"] == "INVALID")


@pytest.mark.parametrize("verdict", ["PASS", None])
def test_what_passed_or_was_not_run_is_no_finding(verdict: str | None) -> None:
    assert list(findings(record(measurement(), verdict=verdict), RECIPE, {})) == []


def test_steps_that_were_not_run_are_told_with_the_reason() -> None:
    assert skipped(record(verdict=None)) == [("cells_at_rest", "because")]


def test_a_bad_bolt_is_called_a_bolt_with_its_value_and_the_limit_it_missed() -> None:
    (found,) = findings(bad_bolt(), AS52, AS52.provenance)
    assert found.measured == "bolt m1.3: torque is 18.1 Nm, below 22.5 Nm (tightening 4712)"
    origin = AS52.provenance["stacking.bolts.limits.torque.low"]
    assert found.limit.startswith(f"at least 22.5 Nm, {origin.file} line {origin.line}: ")
    assert "thread" in found.look


@pytest.mark.parametrize(
    ("run", "name", "value", "expected"),
    [
        ("joints", "resistance[j5]", 90e-6, "joint j5: resistance is 90 uOhm, above 40 uOhm (tightening 4712)"),
        ("place", "voltage[module 2]", -85.0, "module 2: voltage is -85 V, below 78.8 V (tightening 4712)"),
        ("hvil_loop", "opened[hv]", 2.0, "connector hv: opened is 2 Ohm, below 100 Ohm (tightening 4712)"),
        ("housing_leak", "leak_rate", 90.0, "leak_rate is 90 cm3/min (tightening 4712)"),
    ],
)
def test_a_part_is_named_as_the_line_names_it(run: str, name: str, value: float, expected: str) -> None:
    told = stopped(AS52, run, values_until(step_named(AS52, run), [], {name: value}), "FAIL", f"{name}: bad")
    (found,) = findings(told, AS52, {})
    assert found.measured == expected
    assert found.cause != story.STATION_CAUSE


def test_a_cloned_label_is_not_called_the_stations_fault() -> None:
    (found,) = findings(cloned(), AS52, {})
    assert (found.verdict, found.limit) == ("INVALID", "")
    assert found.measured.startswith("module 2: ")
    assert found.cause != story.STATION_CAUSE
