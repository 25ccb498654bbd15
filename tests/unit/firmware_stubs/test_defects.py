"""Every defect kind does what it says to one part and nothing else, and the table of cases covers them all."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import fields, replace
from typing import Any

import pytest

from bmsctl.domain.ports import Relay
from bmsctl.domain.recipe import Recipe
from bmsctl.errors import ScenarioError
from firmware_stubs.defect_cases import cases
from firmware_stubs.defects import DEFECTS, PackCondition, bonding_points, condition_of
from firmware_stubs.faults import FAULT_NAMES, TARGETS
from firmware_stubs.scenario import read_scenario
from tests.support.simulate import RECIPE, defect

CASES = cases(RECIPE)
STACKING = cases(RECIPE, "stacking")
GOOD = PackCondition()


def condition(source: str, recipe: Recipe = RECIPE) -> PackCondition:
    parameters = {kind: row.parameters for kind, row in DEFECTS.items()}
    return condition_of(read_scenario(source, "f.toml", parameters, FAULT_NAMES, TARGETS["eol"], ()).defects, recipe)


def changed(pack: PackCondition) -> dict[str, Any]:
    """What is not as in a good pack."""
    good = values(GOOD)
    return {key: value for key, value in values(pack).items() if value != good[key]}


def values(pack: PackCondition) -> dict[str, Any]:
    parts: dict[str, Any] = {"plant": pack.plant, "bms": pack.bms, "assembly": pack.assembly}
    return {f"{name}.{key.name}": getattr(part, key.name) for name, part in parts.items() for key in fields(part)}


EFFECTS: list[tuple[str, dict[str, Any]]] = [
    (defect("insulation", side="negative", resistance="1 kOhm"), {"plant.insulation_neg_ohm": 1e3}),
    (defect("insulation", side="positive", where="cells", resistance="1 Ohm"), {"plant.insulation_pos_ohm": 1.0}),
    (defect("insulation", side="positive", where="outer", resistance="1 MOhm"), {"plant.outer_pos_ohm": 1e6}),
    (defect("y_capacitance", value="2 uF"), {"plant.y_farad": 2e-6}),
    (defect("bonding", point="tray_front", resistance="50 mOhm"), {"plant.bonding_ohm": {3: 0.05}}),
    (defect("hvil_open"), {"plant.hvil_open": True}),
    (defect("contactor_welded", which="precharge"), {"plant.welded": {Relay.PRECHARGE}}),
    (defect("contactor_stuck_open", which="main_minus"), {"plant.stuck_open": {Relay.MAIN_MINUS}}),
    (defect("precharge_resistor", resistance="400 Ohm"), {"plant.precharge_ohm": 400.0}),
    (defect("hipot_breakdown", voltage="1.5 kV"), {"plant.breakdown_v": 1500.0}),
    (defect("cell_voltage", cell=96, offset="-50 mV"), {"plant.cell_offset_v": {96: -0.05}}),
    (defect("sense_open", cell=7), {"plant.sense_open": {7}}),
    (defect("temperature_sensor", sensor=12, offset="-5 K"), {"bms.sensor_offset_k": {12: -5.0}}),
    (defect("temperature_sensor", sensor=1, open=True), {"bms.sensor_open": {1}}),
    (defect("cell_resistance", cell=2, factor=1.5), {"plant.cell_resistance": {2: 1.5}}),
    (defect("current_sensor", gain=-1.0), {"bms.current_gain": -1.0}),
    (defect("current_sensor", offset="2 A"), {"bms.current_offset_a": 2.0}),
    (defect("busbar_joint", joint=10, resistance="1 mOhm"), {"plant.joint_ohm": {10: 1e-3}}),
    (defect("balancing_channel", cell=4, stuck="on"), {"plant.balancing_stuck": {4: True}}),
    (defect("balancing_channel", cell=4, stuck="off"), {"plant.balancing_stuck": {4: False}}),
    (defect("module_swapped", a=1, b=4), {"plant.modules_swapped": (1, 4)}),
    (defect("bms_dtc", code="1B10-87"), {"bms.dtcs": (0x1B1087,)}),
    (defect("bms_software", version="0001"), {"bms.software_version": "0001"}),
    (defect("bms_serial", value="X"), {"bms.pack_serial": "X"}),
    (defect("bms_imd_gain", factor=0.5), {"bms.imd_gain": 0.5}),
    (defect("quiescent_current", current="50 mA"), {"bms.quiescent_current_a": 0.05}),
    (defect("busbar_joint", joint="j3", resistance="1 mOhm"), {"plant.joint_ohm": {3: 1e-3}}),
    (defect("module_wrong_part", slot=4), {"assembly.wrong_part": {4}}),
    (defect("module_cloned_label", slot=1), {"assembly.cloned_label": {1}}),
    (defect("module_reversed", slot=2), {"assembly.turned": {2}}),
    (defect("bolt_torque", bolt="c50", torque="7 Nm"), {"assembly.bolt_torque": {"c50": 7.0}}),
    (defect("housing_leak", rate="80 cm3/min"), {"assembly.housing_leak": 80.0}),
    (defect("coolant_leak", rate="8 cm3/min"), {"assembly.coolant_leak": 8.0}),
]


@pytest.mark.parametrize(("source", "expected"), EFFECTS, ids=[source.split('"')[1] for source, _ in EFFECTS])
def test_a_defect_changes_its_part_and_nothing_else(source: str, expected: dict[str, Any]) -> None:
    found = changed(condition(source))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == (value if isinstance(value, set | dict | tuple | str) else pytest.approx(value))


def test_self_discharge_has_an_age_unless_given() -> None:
    source = defect("self_discharge", cell=30, rate="0.05 mV/h")
    by_default = changed(condition(source))
    assert by_default == {
        "plant.self_discharge_v_per_h": {30: pytest.approx(50e-6)},
        "plant.age_s": 16 * 86400.0,
    }
    assert condition(defect("self_discharge", cell=30, rate="0.05 mV/h", age="10 d")).plant.age_s == 864_000.0


def test_every_kind_has_an_effect_tested_here() -> None:
    tested = {source.split('"')[1] for source, _ in EFFECTS} | {"self_discharge"}
    assert tested == set(DEFECTS)


def test_a_good_pack_is_what_no_defect_leaves() -> None:
    assert condition("") == GOOD


@pytest.mark.parametrize("case", CASES + STACKING, ids=lambda case: f"{case.station} {case.name}")
def test_every_case_is_a_scenario_with_one_defect_that_changes_the_pack(case: Any) -> None:
    (table,) = tomllib.loads(case.scenario)["defect"]
    assert case.name.startswith(table["kind"])
    assert changed(condition(case.scenario))


def test_the_tables_cover_every_kind_and_name_each_case_once() -> None:
    kinds = {tomllib.loads(case.scenario)["defect"][0]["kind"] for case in CASES + STACKING}
    assert kinds == set(DEFECTS)
    for table in (CASES, STACKING):
        assert Counter(case.name for case in table).most_common(1)[0][1] == 1


def test_expected_steps_run_and_half_a_limit_passes() -> None:
    for station, table in (("eol", CASES), ("stacking", STACKING)):
        running = {step.run for step in RECIPE.steps(station)}
        for case in table:
            assert case.station == station
            assert {step for step, _ in case.expected} <= running
            assert {verdict for _, verdict in case.expected} <= {"FAIL", "INVALID"}
            passes = case.name.endswith((" half", " reflashed")) or "above the test voltage" in case.name
            assert (case.expected == ()) == passes


def test_cases_follow_the_recipes_limits() -> None:
    def bonding_limit(factor: float) -> Recipe:
        steps = list(RECIPE.eol)
        index = next(index for index, step in enumerate(steps) if step.run == "bonding")
        limit = steps[index].limits["resistance_max"]
        wider = replace(limit, high=factor * (limit.high or 0.0))
        steps[index] = replace(steps[index], limits={"resistance_max": wider})
        return Recipe.of("1", RECIPE.pack, {"stacking": RECIPE.stacking, "eol": steps}, {})

    def twice(recipe: Recipe) -> float:
        scenario = next(case.scenario for case in cases(recipe) if case.name == "bonding 1 twice")
        return condition(scenario, recipe).plant.bonding_ohm[1]

    assert twice(bonding_limit(2.0)) - twice(RECIPE) == pytest.approx(2 * 0.025, rel=0.01)


@pytest.mark.parametrize(
    ("name", "twice", "half"),
    [
        ("bolt_torque m1.1 low", "20 Nm", "23.75 Nm"),
        ("bolt_torque c50 high", "12 Nm", "10.5 Nm"),
        ("coolant_leak", "7.5 cm3/min", "2.25 cm3/min"),
        ("busbar_joint 10", "5.2e-05 Ohm", "2.8e-05 Ohm"),
    ],
)
def test_twice_is_twice_the_tolerance_on_top_of_the_nominal_value(name: str, twice: str, half: str) -> None:
    for size, text in (("twice", twice), ("half", half)):
        assert f'"{text}"' in next(case.scenario for case in STACKING if case.name == f"{name} {size}")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (defect("bolt_torque", bolt="m5.1", torque="1 Nm"), r"bolt = 'm5.1': the recipe has m1.1, m1.5"),
        (defect("bolt_torque", bolt=1, torque="1 Nm"), "must be a name that the recipe has"),
        (defect("module_reversed", slot=5), "slot = 5: the pack has 4 modules"),
        (defect("busbar_joint", joint="j11", resistance="1 Ohm"), r"joint = 'j11': the recipe has j1, j2"),
        (defect("busbar_joint", joint=11, resistance="1 Ohm"), "joint = 11: the pack has 10 joints"),
        (defect("module_wrong_part", slot=2) + defect("module_wrong_part", slot=2), "concerns the same part"),
        (defect("coolant_leak", rate="-1 cm3/min"), "must not be negative"),
    ],
)
def test_a_part_that_the_pack_does_not_have_is_refused_by_name(source: str, says: str) -> None:
    with pytest.raises(ScenarioError, match=says):
        condition(source)


def test_a_station_that_there_is_not_has_no_cases() -> None:
    with pytest.raises(LookupError):
        cases(RECIPE, "painting")


def test_a_step_that_the_recipe_skips_has_no_case() -> None:
    steps = tuple(step for step in RECIPE.eol if step.run not in ("withstand", "self_discharge"))
    fewer = cases(Recipe.of("1", RECIPE.pack, {"stacking": RECIPE.stacking, "eol": steps}, {}))
    assert fewer
    assert not any(step in ("withstand", "self_discharge") for case in fewer for step, _ in case.expected)


def test_bonding_points_are_the_recipes() -> None:
    assert bonding_points(RECIPE)[0] == "hv_connector"
    assert len(bonding_points(RECIPE)) == 6
