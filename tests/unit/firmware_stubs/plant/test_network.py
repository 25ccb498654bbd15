"""The closed form against a netlist solved by nodal analysis, and against integration in small steps."""

from __future__ import annotations

import numpy as np
import pytest

from bmsctl.domain.ports import Relay
from firmware_stubs.plant import Element, Node, Plant, PlantCondition
from firmware_stubs.plant.circuit import SWITCHES
from firmware_stubs.plant.network import Branch, Mode, Segment, Timeline, stamped, tied
from firmware_stubs.population import facts_of
from tests.reference import plant as reference

NAMES = {"B-": Node.B_MINUS, "B+": Node.B_PLUS, "P": Node.P, "N": Node.N, "LINK": Node.LINK}


def values_of(plant: Plant) -> reference.Values:
    return reference.Values(
        stack_v=plant.stack_v,
        series_ohm=plant.unit.series_ohm,
        precharge_ohm=plant.unit.precharge_ohm + reference.CONTACT_OHM,
        insulation_pos_ohm=plant.unit.insulation_pos_ohm,
        insulation_neg_ohm=plant.unit.insulation_neg_ohm,
        outer_pos_ohm=plant.unit.outer_pos_ohm,
        outer_neg_ohm=plant.unit.outer_neg_ohm,
        meter_pos_ohm=plant.station.digitizer_pos_ohm,
        meter_neg_ohm=plant.station.digitizer_neg_ohm,
        y_farad=plant.unit.y_farad,
        link_farad=plant.station.link_farad,
    )


def closed_now(plant: Plant, t_s: float) -> frozenset[str]:
    relays = {str(relay) for relay in Relay if plant.contact_closed(relay, t_s)}
    return frozenset(relays | {str(element) for element in Element if plant.closed(element)})


@pytest.mark.parametrize("seed", range(60))
def test_steady_states_match_nodal_analysis(seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    condition = PlantCondition(
        insulation_pos_ohm=float(10 ** rng.uniform(2, 8)), precharge_ohm=float(10 ** rng.uniform(0, 3))
    )
    plant = Plant(facts_of("AM60"), condition, seed)
    plant.coil_supply(0.0, True)
    for name in SWITCHES:
        closed = bool(rng.integers(2))
        if name in set(Relay):
            plant.relay_command(1.0, Relay(name), closed)
        else:
            plant.switch(1.0, Element(name), closed)
    expected = reference.steady(values_of(plant), closed_now(plant, 2.0))
    for name, node in NAMES.items():
        assert plant.voltage(1000.0, node, Node.PE) == pytest.approx(expected[name], abs=5e-3)


def test_a_whole_sequence_matches_integration_in_small_steps() -> None:
    """Precharge with bounce, main contactor, load, opening under load, discharge; insulation bad, to move fast."""
    plant = Plant(facts_of("AS52"), PlantCondition(insulation_neg_ohm=50e3), 2)
    begin_s = 0.9
    schedule: list[tuple[float, frozenset[str]]] = [(begin_s, closed_now(plant, begin_s))]
    plant.on_switch.append(lambda t_s: schedule.append((t_s, closed_now(plant, t_s))))
    plant.coil_supply(begin_s, True)
    plant.switch(0.91, Element.DIGITIZER, True)
    plant.switch(0.92, Element.LINK_CAPACITOR, True)
    plant.relay_command(0.93, Relay.MAIN_MINUS, True)
    plant.relay_command(0.96, Relay.PRECHARGE, True)
    plant.relay_command(1.1, Relay.MAIN_PLUS, True)
    plant.relay_command(1.13, Relay.PRECHARGE, False)
    plant.switch(1.15, Element.LOAD, True)
    plant.coil_supply(1.17, False)
    plant.switch(1.19, Element.LINK_CAPACITOR, False)
    plant.switch(1.2, Element.PE_PROOF, True)
    plant.switch(1.21, Element.DISCHARGE, True)
    plant.settle(1.3)
    start = {name: plant.voltage(begin_s, node, Node.PE) for name, node in NAMES.items()}
    start["EMF"] = start["B-"] + plant.stack_v
    time_s, expected = reference.integrate(values_of(plant), start, schedule, end_s=1.3, step_s=2e-6)
    assert len(schedule) > 15
    switching_s = np.array([t_s for t_s, _ in schedule])
    distance_s = np.array([np.abs(switching_s - t_s).min() for t_s in time_s[::50]])
    away = distance_s > 50e-6
    for a, b in (("P", "N"), ("P", "PE"), ("N", "PE"), ("B-", "PE"), ("B+", "PE"), ("LINK", "N"), ("P", "B-")):
        ours_v = plant.waveform(time_s, NAMES[a], NAMES.get(b, Node.PE))
        theirs_v = expected[a] - (expected[b] if b != "PE" else 0.0)
        assert np.abs(ours_v - theirs_v)[::50][away].max() < 0.1, (a, b)
    current_a = np.array([plant.pack_current_a(float(t_s)) for t_s in time_s[::50]])
    theirs_a = ((expected["B+"] - expected["EMF"]) / plant.unit.series_ohm)[::50]
    # 57 mOhm and 0.5 mF: a step of 2 us is coarse for the 28 us during which main_plus takes over.
    assert np.abs(current_a - theirs_a)[distance_s > 300e-6].max() < 0.02
    assert current_a.min() < -6.0


def test_charge_is_shared_when_nodes_are_tied() -> None:
    # 3 uF at 10 V onto 1 uF at 0 V, chassis as the other plate: 7.5 V; the other nodes keep theirs.
    farad = stamped(
        [Branch(node, Node.PE, value) for node, value in zip(Node, (3e-6, 1e-6, 1.0, 1.0, 1.0), strict=False)]
    )
    siemens = stamped([Branch(node, Node.PE, 1e-15) for node in list(Node)[:5]])
    before_v = np.array([10.0, 0.0, 1.0, 2.0, 3.0, 0.0])
    mode = Mode(farad, siemens, np.zeros(5), tied([(Node.B_MINUS, Node.B_PLUS)]))
    segment = Segment(0.0, 0, mode, before_v)
    assert segment.potentials_v(0.0) == pytest.approx([7.5, 7.5, 1.0, 2.0, 3.0, 0.0])


def test_ties_form_groups_transitively() -> None:
    tie = tied([(Node.B_PLUS, Node.P), (Node.P, Node.LINK)])
    assert tie.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]


def test_an_rc_element_follows_the_textbook() -> None:
    farad = stamped([Branch(node, Node.PE, 1e-6) for node in list(Node)[:5]])
    siemens = stamped([Branch(node, Node.PE, 1e-3) for node in list(Node)[:5]])
    source_a = np.array([5e-3, 0.0, 0.0, 0.0, 0.0])
    segment = Segment(2.0, 0, Mode(farad, siemens, source_a, tied([])), np.zeros(6))
    for age_s in (0.0, 0.5e-3, 1e-3, 5e-3, 1.0):
        assert segment.voltage(2.0 + age_s, Node.B_MINUS, Node.PE) == pytest.approx(
            5.0 * (1 - np.exp(-age_s / 1e-3)), abs=1e-9
        )
        assert segment.slopes_v_per_s(2.0 + age_s)[0] == pytest.approx(5e3 * np.exp(-age_s / 1e-3), abs=1e-6)


def test_the_timeline_finds_the_later_of_two_events_at_once() -> None:
    mode = Mode(
        stamped([Branch(node, Node.PE, 1e-6) for node in list(Node)[:5]]),
        stamped([Branch(node, Node.PE, 1e-3) for node in list(Node)[:5]]),
        np.zeros(5),
        tied([]),
    )
    timeline = Timeline(Segment(0.0, 0, mode, np.zeros(6)))
    timeline.append(Segment(1.0, 1, mode, np.full(6, 8.0)))
    timeline.append(Segment(1.0, 2, mode, np.zeros(6)))
    timeline.append(Segment(3.0, 3, mode, np.zeros(6)))
    assert [timeline.at(t_s).state for t_s in (0.0, 0.999, 1.0, 2.0, 3.0, 9.0)] == [0, 0, 2, 2, 3, 3]
    assert timeline.waveform(np.array([0.5, 1.0, 2.0, 3.0]), Node.P, Node.PE).tolist() == [0.0, 0.0, 0.0, 0.0]
