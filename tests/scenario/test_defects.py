"""Each defect is found at its step with its verdict at twice the limit, and not at half of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.simulate import Simulation, defect, first_not_pass

SEEDS = range(5)

TWICE = [
    (defect("cell_voltage", cell=17, offset="50 mV"), "cells_at_rest", "FAIL"),
    (defect("cell_voltage", cell=96, offset="-50 mV"), "cells_at_rest", "FAIL"),
    (defect("contactor_welded", which="main_plus"), "contactors_open", "FAIL"),
    (defect("contactor_welded", which="main_minus"), "contactors_open", "FAIL"),
    (defect("contactor_welded", which="precharge"), "contactors_open", "FAIL"),
    (defect("contactor_stuck_open", which="main_plus"), "precharge", "FAIL"),
    (defect("contactor_stuck_open", which="main_minus"), "precharge", "FAIL"),
    (defect("contactor_stuck_open", which="precharge"), "precharge", "FAIL"),
    (defect("precharge_resistor", resistance="70 Ohm"), "precharge", "FAIL"),
    (defect("precharge_resistor", resistance="30 Ohm"), "precharge", "FAIL"),
    (defect("precharge_resistor", resistance="400 Ohm"), "precharge", "FAIL"),
    (defect("precharge_resistor", resistance="0 Ohm"), "precharge", "FAIL"),
    (defect("precharge_resistor", resistance="10 mOhm"), "precharge", "FAIL"),
    (defect("bms_software", version="0001"), "bms_identity", "FAIL"),
    (defect("bms_serial", value="AS52000099999"), "identify", "INVALID"),
    (defect("bms_dtc", code="1B10-87"), "bms_identity", "FAIL"),
]

HALF = [
    defect("cell_voltage", cell=1, offset="12.5 mV"),
    defect("cell_voltage", cell=40, offset="-12.5 mV"),
    defect("precharge_resistor", resistance="55 Ohm"),
    defect("precharge_resistor", resistance="45 Ohm"),
]


@pytest.mark.parametrize(("scenario", "step", "verdict"), TWICE)
def test_twice_the_limit_is_found_where_it_belongs(tmp_path: Path, scenario: str, step: str, verdict: str) -> None:
    for seed in SEEDS:
        record = Simulation(tmp_path / str(seed), seed=seed, scenario=scenario).run()
        assert first_not_pass(record) == (step, verdict)
        assert (record["verdict"], record["disposition"]) == (verdict, "hold")


@pytest.mark.parametrize("scenario", HALF)
def test_half_the_limit_passes(tmp_path: Path, scenario: str) -> None:
    for seed in SEEDS:
        record = Simulation(tmp_path / str(seed), seed=seed, scenario=scenario).run()
        assert (first_not_pass(record), record["verdict"]) == (None, "PASS")


def test_after_a_weld_nothing_more_is_energised(tmp_path: Path) -> None:
    record = Simulation(tmp_path, seed=1, scenario=defect("contactor_welded", which="main_plus")).run()
    precharge = next(step for step in record["steps"] if step["name"] == "precharge")
    assert precharge["verdict"] is None
    assert "contactors_open" in precharge["reason"]


def test_a_shorted_precharge_resistor_is_known_to_be_below_the_limit(tmp_path: Path) -> None:
    record = Simulation(tmp_path, seed=1, scenario=defect("precharge_resistor", resistance="0 Ohm")).run()
    precharge = next(step for step in record["steps"] if step["name"] == "precharge")
    resistance = next(value for value in precharge["measurements"] if value["name"] == "precharge_resistance")
    assert resistance["reason"] == "below low"
    assert 0.0 < resistance["value"] < 2.0


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
