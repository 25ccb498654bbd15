"""Scenarios are read, or refused with file, table, parameter and what is allowed."""

from __future__ import annotations

import contextlib
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.ports import Relay
from bmsctl.errors import ScenarioError
from firmware_stubs.defects import DEFECTS, PackCondition, condition_of
from firmware_stubs.faults import FAULT_NAMES, TARGETS, Disturbable, FaultInjector
from firmware_stubs.scenario import Fault, Scenario, read_scenario
from tests.support.simulate import RECIPE, defect

STEPS = ("identify", "precharge")


def read(source: str) -> Scenario:
    parameters = {kind: row.parameters for kind, row in DEFECTS.items()}
    return read_scenario(source, "f.toml", parameters, FAULT_NAMES, TARGETS["eol"], STEPS)


def condition(source: str) -> PackCondition:
    return condition_of(read(source).defects, RECIPE)


def fault(kind: str, **parameters: str) -> str:
    return defect(kind, **({"step": "precharge"} | parameters)).replace("[[defect]]", "[[fault]]")


def refusal(source: str) -> str:
    """Why the scenario is refused, at whatever stage."""
    try:
        FaultInjector(read(source).faults, create_autospec(Disturbable))
        condition(source)
    except ScenarioError as error:
        return str(error)
    raise AssertionError("not refused")


GOOD = defect("bms_dtc", code="1B10-87") + "\n"
TEXT = "must be a string of 1 to {} printable ASCII characters"


@pytest.mark.parametrize(("kind", "name", "length"), [("bms_serial", "value", 25), ("bms_software", "version", 16)])
def test_a_text_must_fit_its_identifier(kind: str, name: str, length: int) -> None:
    for value in ("é", "", "a\tb", "1" * (length + 1), "1" * 500):
        said = refusal(GOOD + defect(kind, **{name: value}))
        assert said.startswith(f"f.toml: defect 2 ({kind}): {name} = ")
        assert said.endswith(TEXT.format(length))
        assert len(said) < 160
    assert read(defect(kind, **{name: "1" * length})).defects[0].parameters[name] == "1" * length


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a = " + "[" * 5000, "f.toml: nested too deeply; a scenario is [[defect]] and [[fault]] tables"),
        (GOOD + "[[defect]]\n", "f.toml: defect 2: parameter 'kind' is missing; known: balancing_channel, "),
        ("[[fault]]\n", "f.toml: fault 1: parameter 'kind' is missing; known: D1, "),
        (defect("nonsense"), "f.toml: defect 1: unknown kind 'nonsense'; known: balancing_channel, "),
        ("[[defect]]\nkind = [1]\n", "f.toml: defect 1: unknown kind a list; known: "),
        (fault("D2", after="-1 s"), "f.toml: fault 1 (can.silent): after = '-1 s': must not be negative"),
        (fault("D2", lasts="-1 ms"), "f.toml: fault 1 (can.silent): lasts = '-1 ms': must not be negative"),
        (
            fault("D2") + "\n" + fault("E1", target="bms"),
            "f.toml: fault 2 (serial.garbage): target = 'bms': must be one of digitizer",
        ),
        (
            GOOD + defect("precharge_resistor", resistance="-5 Ohm"),
            "f.toml: defect 2 (precharge_resistor): resistance = '-5 Ohm': must not be negative",
        ),
        (
            GOOD + defect("cell_voltage", cell=97, offset="1 mV"),
            "f.toml: defect 2 (cell_voltage): cell = 97: the pack has 96 cells",
        ),
        ('[[defect]]\nkind = "cell_voltage"\noffset = "1 V"\ncell = 0x' + "f" * 5000, "more than 64 bits"),
        ("a = " + "9" * 5000, "f.toml: not TOML: "),
        (
            defect("contactor_welded", which="main_plus") + "\n" + defect("contactor_stuck_open", which="main_plus"),
            "f.toml: defect 2 (contactor_stuck_open): main_plus is both welded and stuck open",
        ),
        (defect("bonding", point="roof", resistance="1 Ohm"), "point = 'roof': the recipe has hv_connector, cover, "),
        (defect("bonding", point=7, resistance="1 Ohm"), "point = 7: the pack has 6 bonding points (hv_connector, "),
        (defect("bonding", point=True, resistance="1 Ohm"), "point = True: must be a whole number counted from 1"),
        (defect("temperature_sensor", sensor=13, open=True), "sensor = 13: the pack has 12 temperature sensors"),
        (defect("temperature_sensor", sensor=1), "give either offset, or open = true"),
        (defect("temperature_sensor", sensor=1, open=True, offset="1 K"), "give either offset, or open = true"),
        (defect("temperature_sensor", sensor=1, open=1), "open = 1: must be true or false"),
        (defect("busbar_joint", joint=11, resistance="1 mOhm"), "joint = 11: the pack has 10 joints"),
        (defect("module_swapped", a=1, b=5), "b = 5: the pack has 4 modules"),
        (defect("module_swapped", a=2, b=2), "a and b are the same slot"),
        (defect("current_sensor"), "f.toml: defect 1 (current_sensor): give gain, offset, or both"),
        (defect("current_sensor", gain="2 %"), "gain = '2 %': must be a number without unit, like 1.5"),
        (defect("cell_resistance", cell=1, factor=0.0), "factor = 0: must be above 0"),
        (defect("self_discharge", cell=1, rate="1 mV/h"), "rate times age is above 20 mV; that cell fails at rest"),
        (defect("insulation", side="plus", resistance="1 Ohm"), "side = 'plus': must be one of positive, negative"),
        (defect("balancing_channel", cell=1, stuck="maybe"), "stuck = 'maybe': must be one of on, off"),
        (defect("hvil_open", where="here"), "unknown parameter 'where'; known: none"),
    ],
)
def test_a_wrong_scenario_is_refused_with_its_place(source: str, said: str) -> None:
    assert said in refusal(source)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (GOOD, GOOD),
        (defect("cell_voltage", cell=5, offset="1 mV"), defect("cell_voltage", cell=5, offset="2 mV")),
        (defect("precharge_resistor", resistance="1 Ohm"), defect("precharge_resistor", resistance="2 Ohm")),
        (defect("contactor_welded", which="main_plus"), defect("contactor_welded", which="main_plus")),
    ],
)
def test_two_defects_of_one_part_are_refused(one: str, other: str) -> None:
    kind = one.split('"')[1]
    said = f"f.toml: defect 3 ({kind}): concerns the same part as f.toml: defect 1 ({kind}); keep one of them"
    assert refusal(f"{one}\n{defect('bms_serial', value='X')}\n{other}") == said


def test_defects_of_different_parts_add_up() -> None:
    pack = condition(
        "\n".join(
            [
                defect("contactor_welded", which="main_plus"),
                defect("contactor_welded", which="main_minus"),
                defect("contactor_stuck_open", which="precharge"),
                defect("cell_voltage", cell=1, offset="1 mV"),
                defect("cell_voltage", cell=96, offset="-1 mV"),
                defect("precharge_resistor", resistance="0 Ohm"),
            ]
        )
    )
    assert pack.plant.welded == {Relay.MAIN_PLUS, Relay.MAIN_MINUS}
    assert pack.plant.stuck_open == {Relay.PRECHARGE}
    assert pack.plant.cell_offset_v == {1: 0.001, 96: -0.001}
    assert pack.plant.precharge_ohm == 0.0


def test_a_bonding_point_is_meant_by_name_or_by_number() -> None:
    by_name = condition(defect("bonding", point="cover", resistance="1 Ohm"))
    assert by_name.plant.bonding_ohm == {2: 1.0}
    assert by_name == condition(defect("bonding", point=2, resistance="1 Ohm"))
    both = f"{defect('bonding', point='cover', resistance='1 Ohm')}\n{defect('bonding', point=2, resistance='2 Ohm')}"
    assert "concerns the same part" in refusal(both)


def test_insulation_of_one_side_can_be_bad_inside_and_outside() -> None:
    inside, outside = {"side": "positive", "resistance": "1 kOhm"}, {"side": "negative", "resistance": "2 kOhm"}
    pack = condition(f"{defect('insulation', **inside)}\n{defect('insulation', where='outer', **outside)}")
    assert (pack.plant.insulation_pos_ohm, pack.plant.insulation_neg_ohm) == (1e3, None)
    assert (pack.plant.outer_pos_ohm, pack.plant.outer_neg_ohm) == (None, 2e3)


def test_a_fault_is_read_with_its_defaults() -> None:
    place = "f.toml: fault 1 (can.silent)"
    assert read(fault("D2")).faults == (Fault(place, "can.silent", None, "precharge", 0.0, None),)
    timed = fault("can.silent", target="plc", after="0 s", lasts="200 ms")
    assert read(timed).faults == (Fault(place, "can.silent", "plc", "precharge", 0.0, 0.2),)


@given(st.text(max_size=100))
def test_arbitrary_text_is_read_or_refused(source: str) -> None:
    with contextlib.suppress(ScenarioError):
        read(source)
