"""Packs and stations are drawn as the populations say, and every quantity has its own channel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bmsctl.compose.recipes import RecipeBook
from bmsctl.errors import ScenarioError
from firmware_stubs.population import PACKS, draw_assembly, draw_pack, draw_station, facts_of

UNITS = [draw_pack(facts_of("AS52"), seed) for seed in range(300)]
STATIONS = [draw_station(seed) for seed in range(300)]


@pytest.mark.parametrize("pack", PACKS)
def test_the_table_is_consistent(pack: str) -> None:
    facts = facts_of(pack)
    assert facts.id == pack
    assert facts.series % facts.modules == 0
    assert facts.max_working_voltage_v == pytest.approx(4.2 * facts.series)
    assert facts.series * facts.group_ohm < facts.pack_ohm < 1.35 * facts.series * facts.group_ohm
    assert 0.5 * facts.y_farad * facts.max_working_voltage_v**2 < 0.2 / 4
    unit = draw_pack(facts, 1)
    assert len(unit.rest_spread_v) == len(unit.group_ohm) == len(unit.incoming_error_v) == facts.series
    assert len(unit.capacity_ah) == len(unit.self_discharge_v_per_h) == facts.series
    assert unit.sense_ohm.shape == (-(-facts.series // 16), 17)
    assert unit.sense_ohm.min() > 0.0
    assert unit.terminal_ohm > 1e-3
    assert len(unit.busbar_ohm) == facts.modules - 1
    assert len(unit.temperature_c) == facts.thermistors


def test_an_unknown_pack_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(ScenarioError, match=r"AS99.*AS40.*AM87"):
        facts_of("AS99")


@pytest.mark.parametrize(
    ("values", "mean", "sd"),
    [
        ([unit.soc for unit in UNITS], 0.25, 0.015),
        ([unit.precharge_ohm for unit in UNITS], 50.0, 1.0),
        ([unit.y_farad for unit in UNITS], 0.33e-6, 0.0198e-6),
        ([math.log(unit.insulation_pos_ohm) for unit in UNITS], math.log(20e6), 0.4),
        ([math.log(unit.insulation_neg_ohm) for unit in UNITS], math.log(20e6), 0.4),
        ([math.log(unit.outer_pos_ohm) for unit in UNITS], math.log(2e9), 0.5),
        ([station.link_farad for station in STATIONS], 0.5e-3, 0.0046e-3),
        ([station.digitizer_neg_ohm for station in STATIONS], 10e6, 10e3),
        (np.concatenate([unit.rest_spread_v for unit in UNITS]).tolist(), 0.0, 1.0e-3),
        ([float(unit.group_ohm.mean()) for unit in UNITS], 0.55e-3, 0.0166e-3),
        (np.concatenate([unit.group_ohm / unit.group_ohm.mean() for unit in UNITS]).tolist(), 1.0, 0.03),
        (np.concatenate([unit.capacity_ah for unit in UNITS]).tolist(), 157.0, 1.57),
        (np.concatenate([unit.self_discharge_v_per_h for unit in UNITS]).tolist(), 0.010e-3, 0.0015e-3),
        (np.log(np.concatenate([unit.bonding_ohm for unit in UNITS])).tolist(), math.log(4e-3), 0.3),
        (np.concatenate([unit.sense_ohm.ravel() for unit in UNITS]).tolist(), 30e-3, 3.2e-3),
        ([unit.age_s / 86400.0 for unit in UNITS], 16.75, 4.5 / math.sqrt(12.0)),
        ([station.air_c for station in STATIONS], 22.0, 1.0),
        ([float(unit.temperature_c.mean()) - s.air_c for unit, s in zip(UNITS, STATIONS, strict=True)], 0.0, 0.51),
        ([station.r0_minus_ohm for station in STATIONS], 180e3, 90.0),
        ([station.r0_plus_ohm for station in STATIONS], 180e3, 90.0),
        ([station.reference_ohm for station in STATIONS], 350e3, 175.0),
        (np.concatenate([unit.busbar_ohm for unit in UNITS]).tolist(), 80e-6, 6e-6),
    ],
)
def test_populations(values: list[float], mean: float, sd: float) -> None:
    assert np.mean(values) == pytest.approx(mean, abs=4 * sd / math.sqrt(len(values)))
    assert np.std(values) == pytest.approx(sd, rel=0.15)


def test_cells_of_high_resistance_have_less_capacity() -> None:
    resistance = np.concatenate([unit.group_ohm / unit.group_ohm.mean() for unit in UNITS])
    capacity_ah = np.concatenate([unit.capacity_ah for unit in UNITS])
    assert np.corrcoef(resistance, capacity_ah)[0, 1] == pytest.approx(-0.4, abs=0.03)


def test_the_link_capacitor_is_within_what_the_station_claims() -> None:
    assert max(abs(station.link_farad / 0.5e-3 - 1.0) for station in STATIONS) <= 0.02 + 1e-12


def test_no_good_pack_is_far_out() -> None:
    assert all(abs(unit.precharge_ohm / 50.0 - 1.0) <= 0.1 for unit in UNITS)
    assert all(3e-3 < np.ptp(unit.rest_spread_v) < 9e-3 for unit in UNITS)
    assert all(np.ptp(unit.temperature_c) < 4.0 for unit in UNITS)
    assert all(unit.temperature_c.min() > 15.0 and unit.temperature_c.max() < 30.0 for unit in UNITS)
    assert all(14.5 <= unit.age_s / 86400.0 <= 19.0 for unit in UNITS)
    assert all(unit.bonding_ohm.max() < 20e-3 for unit in UNITS)


def test_a_unit_is_a_function_of_its_seed() -> None:
    again = draw_pack(facts_of("AS52"), 17)
    assert again.rest_spread_v.tobytes() == UNITS[17].rest_spread_v.tobytes()
    assert again.precharge_ohm == UNITS[17].precharge_ohm != UNITS[18].precharge_ohm


def test_parts_of_a_pack_are_the_same_however_many_modules_wait_beside_it() -> None:
    facts = facts_of("AS52")
    alone, among = draw_assembly(facts, 17, 0), draw_assembly(facts, 17, 3)
    assert alone.joint_ohm.tobytes() == among.joint_ohm.tobytes()
    assert alone.acir_share.tobytes() == among.acir_share[:4].tobytes()
    assert alone.insulation_ohm.tobytes() == among.insulation_ohm[:4].tobytes()
    assert (alone.housing_leak, alone.coolant_leak) == (among.housing_leak, among.coolant_leak)
    assert [len(spare.rest_spread_v) for spare in among.spares] == [24, 24, 24]
    for one, other in zip(draw_assembly(facts, 17, 2).spares, among.spares, strict=False):
        assert one.group_ohm.tobytes() == other.group_ohm.tobytes()
    assert draw_assembly(facts, 18, 3).housing_leak != among.housing_leak


@pytest.mark.parametrize("pack", ["AS40", "AS52", "AM60"])
def test_volumes_are_what_the_recipes_say(pack: str) -> None:
    steps = {step.run: step for step in RecipeBook(None).by_pack(pack).steps("stacking")}
    assert 1e3 * facts_of(pack).coolant_litre == steps["coolant_leak"].quantity("volume")
    assert 1e3 * facts_of(pack).housing_litre == steps["housing_leak"].quantity("volume")
