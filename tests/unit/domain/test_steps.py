"""The catalogue is consistent in itself."""

from __future__ import annotations

import pytest

from bmsctl.domain.recipe import STATIONS
from bmsctl.domain.steps import CATALOGUE, STEP_NAMES, Gate, Kind, StepSpec, gate_of
from bmsctl.domain.units import parse_unit

LINE = """
identify quiescent_current bms_alive bms_identity hvil bonding contactors_open insulation_outer withstand cells_at_rest
temperatures precharge insulation_live dcir balancing_channels self_discharge ship_soc write_identity dtc_final sleep
make_safe
"""
SPECS = [spec for specs in CATALOGUE.values() for spec in specs]


def test_the_order_is_that_of_the_line() -> None:
    assert list(STEP_NAMES["eol"]) == [name for name in LINE.split() if name in STEP_NAMES["eol"]]
    assert tuple(CATALOGUE) == STATIONS


def test_step_names_are_unique_over_all_stations() -> None:
    assert len({spec.name for spec in SPECS}) == len(SPECS)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_units_are_written_without_prefix(spec: StepSpec) -> None:
    units = [measure.unit for measure in spec.measures.values() if measure.unit is not None]
    units += [param.unit for param in spec.params.values() if param.kind is Kind.QUANTITY]
    for unit in units:
        plain = parse_unit(unit)
        assert unit == "V/h" or (plain.factor == 1 and plain.dimension == (unit, None))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_step_measures_something_and_orders_what_it_has(spec: StepSpec) -> None:
    assert spec.measures
    assert {name for pair in spec.ordered for name in pair} <= set(spec.params)


def test_only_optional_steps_are_not_mandatory() -> None:
    optional = {"coolant_leak", "hvil_loop", "withstand", "self_discharge", "ship_soc"}
    assert {spec.name for spec in SPECS if not spec.mandatory} <= optional


def test_what_closes_contactors_waits_for_the_weld_test_and_a_clean_bms() -> None:
    assert Gate.HIGH_VOLTAGE in gate_of("precharge").needs
    assert Gate.HIGH_VOLTAGE in gate_of("contactors_open").needs
    assert Gate.HIGH_VOLTAGE in gate_of("contactors_open").blocks
    assert Gate.HIGH_VOLTAGE in gate_of("bms_alive").blocks
    assert gate_of("identify").blocks == (Gate.RUN,)


def test_an_unknown_step_has_no_gate() -> None:
    with pytest.raises(LookupError):
        gate_of("lunch")
