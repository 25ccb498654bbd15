"""Every defect of the power part: what it changes, what it leaves alone, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bmsctl.domain.ports import Relay
from bmsctl.errors import ScenarioError
from firmware_stubs.plant import Element, Node, Plant, PlantCondition
from firmware_stubs.population import facts_of

F64 = NDArray[np.float64]

HOUR_S = 3600.0


def plant_of(condition: PlantCondition | None = None, seed: int = 1) -> Plant:
    return Plant(facts_of("AS52"), condition or PlantCondition(), seed)


def incoming_v(plant: Plant) -> F64:
    return np.concatenate([module.voltage_v for module in plant.incoming_modules()])


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ({"welded": frozenset({Relay.MAIN_PLUS}), "stuck_open": frozenset({Relay.MAIN_PLUS})}, "main_plus is both"),
        ({"precharge_ohm": -1.0}, "resistance is negative"),
        ({"outer_neg_ohm": -1.0}, "resistance is negative"),
        ({"bonding_ohm": {1: -1.0}}, "resistance is negative"),
        ({"joint_ohm": {1: float("nan")}}, "resistance is negative"),
        ({"cell_resistance": {1: 0.0}}, "above 0"),
        ({"age_s": -1.0}, "age"),
        ({"y_farad": 1e-9}, "no pack has less"),
        ({"breakdown_v": 50.0}, "holds at least 50 V"),
        ({"modules_swapped": (2, 2)}, "slot 2"),
    ],
)
def test_nonsense_is_refused(condition: dict[str, Any], text: str) -> None:
    with pytest.raises(ScenarioError, match=text):
        PlantCondition(**condition)


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (PlantCondition(cell_offset_v={97: 0.1}), "AS52 has cells 1 to 96, not 97"),
        (PlantCondition(cell_resistance={0: 2.0}), "cells 1 to 96, not 0"),
        (PlantCondition(sense_open=frozenset({-1})), "cells 1 to 96"),
        (PlantCondition(balancing_stuck={97: True}), "cells 1 to 96"),
        (PlantCondition(self_discharge_v_per_h={97: 1e-5}), "cells 1 to 96"),
        (PlantCondition(modules_swapped=(1, 5)), "modules 1 to 4, not 1, 5"),
        (PlantCondition(joint_ohm={11: 1e-4}), "joints 1 to 10"),
        (PlantCondition(bonding_ohm={7: 1.0}), "bonding points 1 to 6"),
    ],
)
def test_a_part_that_the_pack_does_not_have_is_refused(condition: PlantCondition, text: str) -> None:
    with pytest.raises(ScenarioError, match=text):
        plant_of(condition)


@pytest.mark.parametrize("offset_v", [-0.1, -0.04, 0.03, 0.2])
def test_a_cell_charged_differently_differs_at_rest_and_when_it_came_in(offset_v: float) -> None:
    good, odd = plant_of(), plant_of(PlantCondition(cell_offset_v={96: offset_v}))
    at_rest_v = odd.cell_voltage_v(1.0) - good.cell_voltage_v(1.0)
    for difference_v in (at_rest_v, incoming_v(odd) - incoming_v(good)):
        assert difference_v[95] == pytest.approx(offset_v, abs=1e-6)
        assert difference_v[:95] == pytest.approx(np.zeros(95), abs=1e-6)
    assert odd.stack_v - good.stack_v == pytest.approx(offset_v, abs=1e-9)


def test_good_modules_have_lost_little_since_they_came_in() -> None:
    rates_v_per_h = []
    for seed in range(40):
        plant = plant_of(seed=seed)
        modules = plant.incoming_modules()
        ages_s = {module.age_s for module in modules}
        assert [module.slot for module in modules] == [1, 2, 3, 4]
        assert [len(module.voltage_v) for module in modules] == [24] * 4
        (age_s,) = ages_s
        assert 14.5 * 24 * HOUR_S <= age_s <= 19.0 * 24 * HOUR_S
        rates_v_per_h.append((incoming_v(plant) - plant.cell_voltage_v(1.0)) / age_s * HOUR_S)
    assert np.mean(rates_v_per_h) == pytest.approx(0.010e-3, rel=0.02)
    # 0.0015 mV/h, and 0.1 mV of the incoming inspection over about 400 h.
    assert np.std(rates_v_per_h) == pytest.approx(0.00152e-3, rel=0.05)


def test_self_discharge_lowers_the_cell_now_and_not_when_it_came_in() -> None:
    good = plant_of()
    leaky = plant_of(PlantCondition(self_discharge_v_per_h={30: 0.05e-3}, age_s=400 * HOUR_S))
    lost_v = leaky.cell_voltage_v(1.0) - good.cell_voltage_v(1.0)
    assert lost_v[29] == pytest.approx(-20e-3, abs=1e-6)
    assert np.delete(lost_v, 29) == pytest.approx(np.zeros(95), abs=1e-6)
    assert {module.age_s for module in leaky.incoming_modules()} == {400 * HOUR_S}
    came_in_v = incoming_v(leaky) - incoming_v(good)
    assert came_in_v[29] == pytest.approx(np.delete(came_in_v, 29).mean(), abs=1e-3)


def test_swapped_modules_exchange_their_incoming_data_and_nothing_else() -> None:
    good, swapped = plant_of(), plant_of(PlantCondition(modules_swapped=(1, 4)))
    ours, theirs = (plant.incoming_modules() for plant in (swapped, good))
    assert [module.slot for module in ours] == [1, 2, 3, 4]
    assert [module.voltage_v for module in ours] == [theirs[k].voltage_v for k in (3, 1, 2, 0)]
    assert swapped.cell_voltage_v(1.0).tobytes() == good.cell_voltage_v(1.0).tobytes()


def test_bonding() -> None:
    plant = plant_of(PlantCondition(bonding_ohm={2: 0.4}))
    assert plant.bonding_points == 6
    assert plant.bonding_ohm(2) == 0.4
    assert plant.bonding_ohm(1) == plant_of().bonding_ohm(1) == pytest.approx(4e-3, rel=2.0)
    for point in (0, 7):
        with pytest.raises(ValueError, match="there are 6"):
            plant.bonding_ohm(point)


def test_the_interlock_loop() -> None:
    good, broken = plant_of(), plant_of(PlantCondition(hvil_open=True))
    for plant in (good, broken):
        plant.bridge_hvil(1.0, False)
        plant.bridge_hvil(2.0, True)
    times_s = (0.0, 0.99, 1.0, 1.99, 2.0)
    assert [good.hvil_closed(t_s) for t_s in times_s] == [True, True, False, False, True]
    assert not any(broken.hvil_closed(t_s) for t_s in times_s)


@pytest.mark.parametrize(("joint", "bar"), [(1, 0), (2, 0), (5, 2), (6, 2)])
def test_a_bad_joint_adds_to_its_bar_and_to_the_pack(joint: int, bar: int) -> None:
    good, bad = plant_of(), plant_of(PlantCondition(joint_ohm={joint: 260e-6}))
    more_ohm = bad.unit.busbar_ohm - good.unit.busbar_ohm
    assert more_ohm[bar] == pytest.approx(240e-6)
    assert np.count_nonzero(more_ohm) == 1
    assert bad.series_ohm - good.series_ohm == pytest.approx(240e-6)


@pytest.mark.parametrize("joint", [7, 10])
def test_a_bad_terminal_joint_has_no_channel_but_adds_to_the_pack(joint: int) -> None:
    good, bad = plant_of(), plant_of(PlantCondition(joint_ohm={joint: 260e-6}))
    assert bad.unit.busbar_ohm.tobytes() == good.unit.busbar_ohm.tobytes()
    assert bad.series_ohm - good.series_ohm == pytest.approx(240e-6)


def test_a_cells_resistance_is_a_multiple_of_what_was_drawn() -> None:
    good, bad = plant_of(), plant_of(PlantCondition(cell_resistance={7: 1.5}))
    assert bad.unit.group_ohm[6] == pytest.approx(1.5 * good.unit.group_ohm[6])
    assert np.count_nonzero(bad.unit.group_ohm != good.unit.group_ohm) == 1


def test_outer_insulation_is_seen_by_a_tester_with_the_contactors_open() -> None:
    plant = plant_of(PlantCondition(outer_pos_ohm=5e6))
    plant.switch(0.0, Element.DIGITIZER, True)
    plant.switch(0.0, Element.DIVIDERS, False)
    plant.switch(10.0, Element.DIGITIZER, False)
    plant.switch(10.0, Element.PLC_METER, False)
    measured_ohm = {}
    for t_s, route, node in ((11.0, Element.TESTER_PLUS, Node.P), (31.0, Element.TESTER_MINUS, Node.N)):
        plant.switch(t_s, route, True)
        plant.tester_source(t_s, 500.0, 100e3)
        volts, amps = plant.voltage(t_s + 9.0, node, Node.PE), plant.tester_current_a(t_s + 9.0)
        measured_ohm[node] = volts / amps
        plant.tester_source(t_s + 10.0, 0.0, 100e3)
        plant.switch(t_s + 15.0, route, False)
    assert measured_ohm[Node.P] == pytest.approx(1.0 / (1.0 / 5e6 + 1.0 / plant_of().unit.outer_pos_ohm), rel=1e-3)
    assert measured_ohm[Node.N] > 500e6


@pytest.mark.parametrize("total_farad", [5e-9, 0.1e-6, 0.2e-6, 0.33e-6, 5e-6])
def test_capacitance_to_chassis_is_what_was_asked_for(total_farad: float) -> None:
    plant = plant_of(PlantCondition(y_farad=total_farad))
    plant.coil_supply(0.0, True)
    plant.switch(0.0, Element.DIGITIZER, True)
    for relay in (Relay.MAIN_MINUS, Relay.MAIN_PLUS):
        plant.relay_command(0.0, relay, True)
    plant.switch(100.0, Element.R0_MINUS, True)
    settled_v = plant.voltage(200.0, Node.P, Node.PE)
    pos_ohm, neg_ohm = plant.insulation_ohm()
    tau_s = total_farad / (1.0 / pos_ohm + 1.0 / neg_ohm)
    moved = [plant.voltage(100.0 + age_s, Node.P, Node.PE) - settled_v for age_s in (0.0, tau_s)]
    assert moved[1] / moved[0] == pytest.approx(1.0 / np.e, rel=1e-3)


def test_test_resistors_conduct_only_behind_the_digitizers_route() -> None:
    plant = plant_of()
    for relay in (Relay.MAIN_MINUS, Relay.MAIN_PLUS):
        plant.relay_command(0.0, relay, True)
    plant.coil_supply(0.0, True)
    plant.settle(1.0)
    station = plant.station
    for element, ohm, side in (
        (Element.R0_PLUS, station.r0_plus_ohm, 0),
        (Element.R0_MINUS, station.r0_minus_ohm, 1),
        (Element.REFERENCE, station.reference_ohm, 1),
    ):
        plant.switch(2.0, element, True)
        without = plant.insulation_ohm()
        plant.switch(2.0, Element.DIGITIZER, True)
        within = plant.insulation_ohm()
        plant.switch(2.0, element, False)
        bare = plant.insulation_ohm()
        plant.switch(2.0, Element.DIGITIZER, False)
        assert without == plant.insulation_ohm()
        assert 1.0 / within[side] - 1.0 / bare[side] == pytest.approx(1.0 / ohm, rel=1e-6)
        assert within[1 - side] == pytest.approx(bare[1 - side], rel=1e-6)
