"""The closed form against a netlist solved by nodal analysis, and against integration in small steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bmsctl.domain.ports import Relay
from firmware_stubs.plant import Element, Node, Plant, PlantCondition
from firmware_stubs.plant.network import FREE, Branch, Mode, Segment, Timeline, stamped, tied
from firmware_stubs.population import facts_of
from tests.reference import plant as reference

F64 = NDArray[np.float64]

NAMES = {
    "B-": Node.B_MINUS,
    "B+": Node.B_PLUS,
    "P": Node.P,
    "N": Node.N,
    "LINK": Node.LINK,
    "CYCLER": Node.CYCLER,
    "TESTER": Node.TESTER,
}


def values_of(plant: Plant, stack_v: float) -> reference.Values:
    unit, station = plant.unit, plant.station
    return reference.Values(
        stack_v=stack_v,
        series_ohm=plant.series_ohm,
        precharge_ohm=unit.precharge_ohm + reference.CONTACT_OHM,
        insulation_pos_ohm=unit.insulation_pos_ohm,
        insulation_neg_ohm=unit.insulation_neg_ohm,
        outer_pos_ohm=unit.outer_pos_ohm,
        outer_neg_ohm=unit.outer_neg_ohm,
        meter_pos_ohm=station.digitizer_pos_ohm,
        meter_neg_ohm=station.digitizer_neg_ohm,
        r0_minus_ohm=station.r0_minus_ohm,
        r0_plus_ohm=station.r0_plus_ohm,
        reference_ohm=station.reference_ohm,
        y_farad=unit.y_farad,
        link_farad=station.link_farad,
    )


def closed_now(plant: Plant, t_s: float) -> frozenset[str]:
    relays = {str(relay) for relay in Relay if plant.contact_closed(relay, t_s)}
    return frozenset(relays | {str(element) for element in Element if plant.closed(element)})


def electromotive_v(plant: Plant, t_s: float) -> float:
    return plant.voltage(t_s, Node.B_PLUS, Node.B_MINUS) - plant.pack_current_a(t_s) * plant.series_ohm


@pytest.mark.parametrize("seed", range(80))
def test_steady_states_match_nodal_analysis(seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    condition = PlantCondition(
        insulation_pos_ohm=float(10 ** rng.uniform(2, 8)), precharge_ohm=float(10 ** rng.uniform(0, 3))
    )
    plant = Plant(facts_of("AM60"), condition, seed)
    plant.coil_supply(0.0, True)
    for name in (*Relay, *Element):
        closed = bool(rng.integers(2))
        if name == Element.TESTER_MINUS and plant.closed(Element.TESTER_PLUS):
            continue  # Both are a short circuit of the outer poles, which the twin's contacts would limit.
        if isinstance(name, Relay):
            plant.relay_command(1.0, name, closed)
        else:
            plant.switch(1.0, name, closed)
    tester_v, tester_ohm = float(rng.uniform(-500.0, 500.0)), float(10 ** rng.uniform(3, 6))
    plant.tester_source(2.0, tester_v, tester_ohm)
    amps = float(rng.uniform(-0.5, 0.5))
    plant.cycler_current(2.0, amps)
    connected = {"main_plus", "main_minus", "cycler"} <= closed_now(plant, 2.0)
    setting = reference.Setting(closed_now(plant, 2.0), amps if connected else 0.0, tester_v, tester_ohm)
    expected = reference.steady(values_of(plant, electromotive_v(plant, 5e4)), setting)
    for name, node in NAMES.items():
        assert plant.voltage(5e4, node, Node.PE) == pytest.approx(expected[name], abs=5e-3)
    out_a = (expected["GENERATOR"] - expected["TESTER"]) / tester_ohm
    assert plant.tester_current_a(5e4) == pytest.approx(out_a, abs=1e-7)
    into_a = (expected["B+"] - expected["EMF"]) / plant.series_ohm
    assert plant.pack_current_a(5e4) == pytest.approx(into_a, rel=1e-4, abs=1e-6)


Action = tuple[Any, ...]
"""When, the name of a method of the plant, and its further arguments."""


def played(plant: Plant, begin_s: float, script: Sequence[Action]) -> list[tuple[float, reference.Setting]]:
    """Act on the plant; what held from when on, as the twin needs it."""
    schedule = [(begin_s, reference.Setting(closed_now(plant, begin_s)))]

    def note(t_s: float) -> None:
        schedule.append((t_s, replace(schedule[-1][1], closed=closed_now(plant, t_s))))

    plant.on_switch.append(note)
    for t_s, verb, *arguments in script:
        getattr(plant, verb)(t_s, *arguments)
        if verb == "tester_source":
            schedule[-1] = t_s, replace(schedule[-1][1], tester_v=arguments[0], tester_ohm=arguments[1])
        elif verb == "cycler_current":
            schedule[-1] = t_s, replace(schedule[-1][1], cycler_a=arguments[0])
    return schedule


def compare(condition: PlantCondition, script: Sequence[Action], end_s: float, step_s: float, within_v: float) -> Plant:
    """Hold every voltage against integration in small steps, away from events."""
    plant = Plant(facts_of("AS52"), condition, 2)
    begin_s = script[0][0]
    schedule = played(plant, begin_s, [*script, (end_s, "settle")])
    start = {name: plant.voltage(begin_s - 0.01, node, Node.PE) for name, node in NAMES.items()}
    start |= {"EMF": start["B-"] + plant.stack_v, "GENERATOR": 0.0}
    time_s, expected = reference.integrate(values_of(plant, plant.stack_v), start, schedule, end_s, step_s)
    switching_s = np.array([t_s for t_s, _ in schedule])
    away = np.array([np.abs(switching_s - t_s).min() for t_s in time_s[::50]]) > 150 * step_s
    pairs = [("P", "N"), ("P", "PE"), ("N", "PE"), ("B-", "PE"), ("B+", "PE"), ("LINK", "N"), ("P", "B-")]
    for a, b in [*pairs, ("CYCLER", "N"), ("TESTER", "PE")]:
        ours_v = plant.waveform(time_s, NAMES[a], NAMES.get(b, Node.PE))
        theirs_v = expected[a] - (expected[b] if b != "PE" else 0.0)
        assert np.abs(ours_v - theirs_v)[::50][away].max() < within_v, (a, b)
    assert plant.ledger == []
    return plant


def test_a_whole_sequence_matches_integration_in_small_steps() -> None:
    """Precharge with bounce, main contactor, load, opening under load, discharge; insulation bad, to move fast."""
    script: list[Action] = [
        (0.9, "coil_supply", True),
        (0.91, "switch", Element.DIGITIZER, True),
        (0.915, "switch", Element.R0_PLUS, True),
        (0.92, "switch", Element.LINK_CAPACITOR, True),
        (0.93, "relay_command", Relay.MAIN_MINUS, True),
        (0.96, "relay_command", Relay.PRECHARGE, True),
        (1.1, "relay_command", Relay.MAIN_PLUS, True),
        (1.13, "relay_command", Relay.PRECHARGE, False),
        (1.15, "switch", Element.LOAD, True),
        (1.17, "coil_supply", False),
        (1.19, "switch", Element.LINK_CAPACITOR, False),
        (1.2, "switch", Element.PE_PROOF, True),
        (1.21, "switch", Element.DISCHARGE, True),
    ]
    plant = compare(PlantCondition(insulation_neg_ohm=50e3), script, 1.3, 2e-6, 0.2)
    assert min(plant.pack_current_a(float(t_s)) for t_s in np.arange(0.97, 1.0, 1e-4)) < -6.0


def test_a_withstand_test_matches_integration_in_small_steps() -> None:
    script: list[Action] = [
        (0.91, "switch", Element.DIVIDERS, False),
        (0.92, "switch", Element.TESTER_PLUS, True),
        (0.92, "switch", Element.TESTER_MINUS, True),
        *((0.93 + 0.01 * k, "tester_source", 110.0 * (k + 1), 20e3) for k in range(20)),
        (1.15, "tester_source", 0.0, 5e3),
        (1.17, "switch", Element.TESTER_PLUS, False),
        (1.18, "tester_source", 0.0, 1e6),
    ]
    plant = compare(PlantCondition(outer_neg_ohm=200e3), script, 1.2, 2e-6, 1.0)
    assert plant.voltage(1.149, Node.N, Node.PE) > 1900.0


def test_cycler_and_its_capacitors_match_integration_in_small_steps() -> None:
    """The stack's drift stays small for so long; insulation bad, to move fast."""
    script: list[Action] = [
        (0.9, "coil_supply", True),
        (0.905, "switch", Element.DIGITIZER, True),
        (0.91, "switch", Element.CYCLER, True),
        (0.92, "relay_command", Relay.MAIN_MINUS, True),
        (0.95, "relay_command", Relay.PRECHARGE, True),
        (1.02, "relay_command", Relay.MAIN_PLUS, True),
        (1.05, "cycler_current", 8.0),
        (1.06, "cycler_current", -8.0),
        (1.065, "cycler_current", 0.0),
        (1.07, "relay_command", Relay.MAIN_PLUS, False),
        (1.08, "coil_supply", False),
        (1.1, "switch", Element.CYCLER, False),
    ]
    compare(PlantCondition(insulation_neg_ohm=50e3), script, 1.15, 2e-6, 0.2)


def mode_of(farads: list[float], siemens: float, injection: F64, ties: list[tuple[Node, Node]]) -> Mode:
    nodes = list(Node)[:FREE]
    return Mode(
        stamped([Branch(node, Node.PE, farad) for node, farad in zip(nodes, farads, strict=True)]),
        stamped([Branch(node, Node.PE, siemens) for node in nodes]),
        injection,
        tied(ties),
    )


SILENT = np.zeros((FREE, 1))
STRENGTH = np.ones(1)


def test_charge_is_shared_when_nodes_are_tied() -> None:
    # 3 uF at 10 V onto 1 uF at 0 V, chassis as the other plate: 7.5 V; the other nodes keep theirs.
    mode = mode_of([3e-6, 1e-6, *[1.0] * 5], 1e-15, SILENT, [(Node.B_MINUS, Node.B_PLUS)])
    before_v = np.array([10.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0])
    segment = Segment(0.0, 0, mode, STRENGTH, before_v)
    assert segment.potentials_v(0.0) == pytest.approx([7.5, 7.5, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0])


def test_ties_form_groups_transitively() -> None:
    tie = tied([(Node.B_PLUS, Node.P), (Node.P, Node.LINK)])
    assert tie[:5].tolist() == [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 0, 0, 0],
    ]


def test_an_rc_element_follows_the_textbook() -> None:
    injection = np.zeros((FREE, 1))
    injection[Node.B_MINUS] = 1e-3
    segment = Segment(2.0, 0, mode_of([1e-6] * FREE, 1e-3, injection, []), 5.0 * STRENGTH, np.zeros(8))
    for age_s in (0.0, 0.5e-3, 1e-3, 5e-3, 1.0):
        assert segment.voltage(2.0 + age_s, Node.B_MINUS, Node.PE) == pytest.approx(
            5.0 * (1 - np.exp(-age_s / 1e-3)), abs=1e-9
        )
        assert segment.slopes_v_per_s(2.0 + age_s)[0] == pytest.approx(5e3 * np.exp(-age_s / 1e-3), abs=1e-6)


def test_a_drifting_source_takes_the_steady_network_with_it() -> None:
    class Rising:
        def strength(self, t_s: float) -> float:
            return 5.0 + t_s

        def strengths(self, t_s: F64) -> F64:
            return 5.0 + t_s

    injection = np.zeros((FREE, 1))
    injection[Node.B_MINUS] = 0.5e-3
    mode = mode_of([1e-6] * FREE, 1e-3, injection, [])
    segment = Segment(2.0, 0, mode, np.array([7.0]), np.zeros(8), Rising())
    assert segment.voltage(12.0, Node.B_MINUS, Node.PE) == pytest.approx(0.5 * 17.0)
    assert segment.potentials_v(12.0)[Node.B_MINUS] == pytest.approx(0.5 * 17.0)
    assert segment.waveform(np.array([12.0, 13.0]), Node.PE, Node.B_MINUS) == pytest.approx([-8.5, -9.0])
    assert segment.strengths(12.0).tolist() == [17.0]
    after = Segment(12.0, 0, mode, segment.strengths(12.0), segment.potentials_v(12.0))
    assert after.voltage(12.0, Node.B_MINUS, Node.PE) == pytest.approx(8.5)


def test_the_timeline_finds_the_later_of_two_events_at_once() -> None:
    mode = mode_of([1e-6] * FREE, 1e-3, SILENT, [])
    timeline = Timeline(Segment(0.0, 0, mode, STRENGTH, np.zeros(8)))
    for start_s, state, volts in ((1.0, 1, 8.0), (1.0, 2, 0.0), (3.0, 3, 0.0)):
        timeline.append(start_s, Segment(start_s, state, mode, STRENGTH, np.full(8, volts)))
    assert [timeline.at(t_s).state for t_s in (0.0, 0.999, 1.0, 2.0, 3.0, 9.0)] == [0, 0, 2, 2, 3, 3]
    assert timeline.waveform(np.array([0.5, 1.0, 2.0, 3.0]), Node.P, Node.PE).tolist() == [0.0, 0.0, 0.0, 0.0]
