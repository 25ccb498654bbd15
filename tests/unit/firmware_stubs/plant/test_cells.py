"""Cells under current against small steps: polarisation, charge, temperature, and no dependence on who looks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bmsctl.domain.ports import Relay
from firmware_stubs.plant import Element, Node, Plant, PlantCondition
from firmware_stubs.plant.cells import FAST_S, OCV_SOC, OCV_V, SLOW_S, Cells, Flow, resistance_factor
from firmware_stubs.population import PACKS, draw_pack, facts_of
from tests.reference import plant as reference

F64 = NDArray[np.float64]

AS52 = facts_of("AS52")
CELLS = Cells(draw_pack(AS52, 3))


def ocv(soc: F64) -> F64:
    volts: F64 = np.interp(soc, OCV_SOC, OCV_V)
    return volts


def live(condition: PlantCondition | None = None, seed: int = 3, pack: str = "AS52") -> Plant:
    """Both poles closed onto the cycler's output since 2 s."""
    plant = Plant(facts_of(pack), condition or PlantCondition(), seed)
    plant.coil_supply(0.0, True)
    plant.switch(0.0, Element.CYCLER, True)
    plant.relay_command(0.5, Relay.MAIN_MINUS, True)
    plant.relay_command(0.6, Relay.PRECHARGE, True)
    plant.relay_command(1.0, Relay.MAIN_PLUS, True)
    plant.relay_command(1.2, Relay.PRECHARGE, False)
    plant.settle(2.0)
    return plant


PULSES = ((0.0, 0.0), (1.0, -100.0), (11.0, 0.0), (20.0, 100.0), (30.0, 40.0), (60.0, 0.0))


def flows(pulses: tuple[tuple[float, float], ...] = PULSES) -> list[tuple[float, Flow]]:
    flow = Flow.at_rest(CELLS)
    course = [(pulses[0][0], flow)]
    for t_s, amps in pulses[1:]:
        flow = flow.changed(t_s, amps)
        course.append((t_s, flow))
    return course


@given(st.integers(0, len(PULSES) - 1), st.floats(0.0, 20_000.0))
def test_one_moment_and_many_give_the_same_voltage(index: int, age_s: float) -> None:
    from_s, flow = flows()[index]
    at_once = flow.strengths(np.array([from_s + age_s] * 40))
    assert flow.strength(from_s + age_s) == pytest.approx(at_once[7], rel=1e-13)


def test_pulses_match_small_steps() -> None:
    elements = [(FAST_S, CELLS.fast_ohm), (SLOW_S, CELLS.slow_ohm)]
    time_s, emf_v = reference.cell_emf(ocv, CELLS.soc, CELLS.capacity_ah, elements, PULSES, 90.0, 1e-3)
    for k in range(0, len(time_s), 500):
        t_s = float(time_s[k])
        flow = next(flow for from_s, flow in reversed(flows()) if from_s <= t_s + 1e-9)
        assert flow.cell_emf_v(t_s) == pytest.approx(emf_v[k], abs=10e-6)
        assert flow.strength(t_s) == pytest.approx(emf_v[k].sum(), abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 600.0), st.sampled_from([0.0, 30.0, -80.0, 200.0, -200.0])), max_size=6))
def test_the_stack_is_the_sum_of_its_cells(pauses: list[tuple[float, float]]) -> None:
    flow, now_s = Flow.at_rest(CELLS), 0.0
    for pause_s, amps in pauses:
        now_s += pause_s
        before_v = flow.strength(now_s)
        flow = flow.changed(now_s, amps)
        assert flow.strength(now_s) == pytest.approx(before_v, abs=2e-4)
        times_s = now_s + np.array([0.0, 0.3, 7.0, 61.0, 900.0])
        for t_s, volts in zip(times_s.tolist(), flow.strengths(times_s), strict=True):
            assert flow.cell_emf_v(t_s).sum() == pytest.approx(volts, abs=2e-4)
            assert flow.strength(t_s) == pytest.approx(volts, abs=1e-9)


@pytest.mark.parametrize("amps", [-100.0, 100.0])
def test_a_current_that_begins_on_a_point_of_the_table(amps: float) -> None:
    nothing = np.zeros(96)
    flow = Flow(CELLS, 0.0, amps, np.full(96, 0.25), (nothing, nothing), 0.0)
    for t_s in (0.0, 5.0, 500.0):
        assert flow.cell_emf_v(t_s).sum() == pytest.approx(flow.strength(t_s), abs=1e-6)


def test_nothing_drifts_before_a_current_and_long_after_it() -> None:
    flow = Flow.at_rest(CELLS)
    assert not flow.drifting(0.0)
    flow = flow.changed(10.0, 100.0)
    assert flow.drifting(1e6)
    flow = flow.changed(20.0, 0.0)
    assert flow.drifting(20.0)
    assert flow.drifting(60.0)
    assert not flow.drifting(800.0)
    assert flow.cell_emf_v(800.0) == pytest.approx(ocv(flow.cell_soc(800.0)), abs=1e-6)


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("amps", [-100.0, 100.0])
def test_ten_seconds_of_current_show_the_resistances(pack: str, amps: float) -> None:
    plant = live(pack=pack)
    before_v, before_soc = plant.cell_voltage_v(2.9), plant.soc(2.9)
    plant.cycler_current(3.0, amps)
    change_v = plant.cell_voltage_v(13.0) - before_v
    # The open-circuit voltage moves, too.
    change_v -= np.diff(ocv(np.array([before_soc, plant.soc(13.0)])))
    thermistors = len(plant.unit.temperature_c)
    at_cell_c = np.repeat(plant.unit.temperature_c, plant.facts.series // thermistors)
    expected_ohm = plant.unit.group_ohm * resistance_factor(at_cell_c)
    assert change_v / amps == pytest.approx(expected_ohm, rel=5e-3)
    assert plant.busbar_voltage_v(13.0) == pytest.approx(amps * plant.unit.busbar_ohm, rel=1e-3)
    assert plant.pack_current_a(13.0) == pytest.approx(amps, abs=5e-3)


def test_the_packs_resistance_is_that_of_its_type() -> None:
    ratios = []
    for seed in range(20):
        plant = live(seed=seed)
        before_v = plant.voltage(2.9, Node.P, Node.N)
        plant.cycler_current(3.0, -100.0)
        ohm = (before_v - plant.voltage(13.0, Node.P, Node.N)) / 100.0
        warm = resistance_factor(np.array([plant.unit.temperature_c.mean()]))[0]
        ratios.append(ohm / warm / plant.facts.pack_ohm)
    # Open-circuit voltage falls by 2 % of the drop while the pulse lasts; the lot has a spread of 3 %.
    assert np.mean(ratios) == pytest.approx(1.01, abs=0.03)
    assert np.std(ratios) < 0.06


def test_terminals_and_waveforms_follow_the_drift() -> None:
    plant = live()
    plant.cycler_current(3.0, -100.0)
    plant.cycler_current(13.0, 0.0)
    times_s = np.linspace(2.5, 40.0, 400)
    poles_v = plant.waveform(times_s, Node.P, Node.N)
    assert poles_v == pytest.approx([plant.voltage(float(t_s), Node.P, Node.N) for t_s in times_s], abs=1e-9)
    for t_s, volts in zip(times_s[::20].tolist(), poles_v[::20], strict=True):
        current_a = plant.pack_current_a(t_s)
        links_ohm = plant.unit.busbar_ohm.sum() + plant.unit.terminal_ohm
        assert plant.cell_voltage_v(t_s).sum() + current_a * links_ohm == pytest.approx(volts, abs=1e-3)
    assert poles_v[-1] - plant.voltage(13.1, Node.P, Node.N) > 0.5


def test_capacitors_keep_their_charge_when_something_switches_while_the_stack_drifts() -> None:
    plant = live()
    plant.cycler_current(3.0, -100.0)
    plant.switch(5.0, Element.DIGITIZER, True)
    for a, b in ((Node.P, Node.PE), (Node.N, Node.PE), (Node.P, Node.N)):
        assert plant.voltage(5.0, a, b) == pytest.approx(plant.voltage(5.0 - 1e-9, a, b), abs=1e-4)


def test_charge_and_state_of_charge_are_counted() -> None:
    plant = live()
    assert plant.charge_ah(2.5) == 0.0
    before = plant.soc(2.5)
    plant.cycler_current(3.0, 50.0)
    plant.cycler_current(39.0, -20.0)
    plant.cycler_current(57.0, 0.0)
    assert plant.charge_ah(21.0) == pytest.approx(0.25)
    assert plant.charge_ah(39.0) == pytest.approx(0.5)
    assert plant.charge_ah(500.0) == pytest.approx(0.4)
    assert plant.soc(500.0) - before == pytest.approx(0.4 * np.mean(1.0 / plant.unit.capacity_ah), rel=1e-6)
    assert plant.cell_voltage_v(500.0).sum() > plant.stack_v


@pytest.mark.parametrize("missing", [Relay.MAIN_PLUS, Relay.MAIN_MINUS, Element.CYCLER])
def test_no_current_flows_while_the_cycler_is_not_connected(missing: Relay | Element) -> None:
    plant = live()
    if isinstance(missing, Relay):
        plant.relay_command(3.0, missing, False)
    else:
        plant.switch(3.0, missing, False)
    plant.cycler_current(4.0, 100.0)
    assert abs(plant.pack_current_a(5.0)) < 0.01
    assert plant.charge_ah(100.0) == 0.0
    assert plant.ledger == []


def test_how_often_one_looks_changes_nothing_under_current() -> None:
    watched, unwatched = live(), live()
    for plant in (watched, unwatched):
        for t_s, amps in PULSES[1:]:
            plant.cycler_current(3.0 + t_s, amps)
            if plant is watched:
                for ahead_s in (0.0, 1.0, 1.7):
                    plant.cell_voltage_v(3.0 + t_s + ahead_s)
                    plant.voltage(3.0 + t_s + ahead_s, Node.P, Node.N)
                    plant.soc(3.0 + t_s + ahead_s)
    times_s = np.linspace(2.0, 100.0, 333)
    assert (
        watched.waveform(times_s, Node.P, Node.PE).tobytes() == unwatched.waveform(times_s, Node.P, Node.PE).tobytes()
    )
    assert watched.cell_voltage_v(80.0).tobytes() == unwatched.cell_voltage_v(80.0).tobytes()


def test_cells_are_less_resistive_when_warm() -> None:
    assert resistance_factor(np.array([25.0])) == pytest.approx([1.0])
    assert resistance_factor(np.array([24.0, 26.0])) == pytest.approx([1.0365, 1.0 / 1.0365], rel=2e-3)
    assert resistance_factor(np.array([15.0]))[0] == pytest.approx(1.46, abs=0.02)


def test_cells_at_rest() -> None:
    plant = Plant(AS52, PlantCondition(), 1)
    volts = plant.cell_voltage_v(1.0)
    assert volts.shape == (96,)
    assert volts.sum() == pytest.approx(plant.stack_v, abs=1e-3)
    assert 3.5 < volts.min() < volts.max() < 3.65
    assert 0.5e-3 < volts.std() < 1.5e-3
    assert plant.cell_voltage_v(500.0).tobytes() == volts.tobytes()
