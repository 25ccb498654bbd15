"""The plant as its users see it: weld and stuck signatures, history, laziness, insulation, touch hazard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.ports import Relay
from firmware_stubs.plant import Element, Node, Plant, PlantCondition, pack
from firmware_stubs.plant.cells import OCV_SOC, OCV_V, OHMIC_SHARE, resistance_factor
from firmware_stubs.population import PackFacts, PackUnit, StationUnit, draw_pack, draw_station, facts_of

MAIN_PLUS, MAIN_MINUS, PRECHARGE = Relay.MAIN_PLUS, Relay.MAIN_MINUS, Relay.PRECHARGE
AS52 = facts_of("AS52")


def plant_of(condition: PlantCondition | None = None, seed: int = 1) -> Plant:
    plant = Plant(AS52, condition or PlantCondition(), seed)
    plant.coil_supply(0.0, True)
    return plant


@pytest.fixture
def nominal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of exactly 350 V and 20 MOhm, on stations with exact 10 MOhm meters."""

    def unit(facts: PackFacts, seed: int) -> PackUnit:
        return replace(
            draw_pack(facts, seed),
            soc=float(np.interp(350.0 / 96.0, OCV_V, OCV_SOC)),
            rest_spread_v=np.zeros(96),
            precharge_ohm=50.0,
            insulation_pos_ohm=20e6,
            insulation_neg_ohm=20e6,
        )

    monkeypatch.setattr(pack, "draw_pack", unit)

    def station(seed: int) -> StationUnit:
        return replace(draw_station(seed), link_farad=0.5e-3, digitizer_pos_ohm=10e6, digitizer_neg_ohm=10e6)

    monkeypatch.setattr(pack, "draw_station", station)


ANY = None
PHASES = (
    (),
    (PRECHARGE,),
    (MAIN_MINUS,),
    (MAIN_MINUS, PRECHARGE),
    (MAIN_MINUS, PRECHARGE, MAIN_PLUS),
    (MAIN_MINUS, MAIN_PLUS),
)
Signature = tuple[float | None, float | None, float | None, float | None]


def u_pn(volts: float) -> Signature:
    return ANY, ANY, volts, ANY


OPEN: Signature = (-50, -50, 0, 25)
PLUS: Signature = (58, 58, 0, 350)
MINUS: Signature = (-58, -58, 0, 0)
LOADED: Signature = (164, -169, 333, 333)
BOTH: Signature = (175, -175, 350, 350)

SIGNATURES: dict[str, tuple[PlantCondition, tuple[Signature, ...]]] = {
    "good": (PlantCondition(), (OPEN, PLUS, MINUS, LOADED, BOTH, u_pn(350))),
    "main+ welded": (
        PlantCondition(welded=frozenset({MAIN_PLUS})),
        (PLUS, u_pn(0), u_pn(350), u_pn(350), u_pn(350), u_pn(350)),
    ),
    "precharge welded": (
        PlantCondition(welded=frozenset({PRECHARGE})),
        (PLUS, u_pn(0), u_pn(333), u_pn(333), u_pn(350), u_pn(350)),
    ),
    "main- welded": (
        PlantCondition(welded=frozenset({MAIN_MINUS})),
        (MINUS, u_pn(333), u_pn(0), u_pn(333), u_pn(350), u_pn(350)),
    ),
    "main+ stuck open": (
        PlantCondition(stuck_open=frozenset({MAIN_PLUS})),
        (OPEN, u_pn(0), u_pn(0), u_pn(333), u_pn(333), u_pn(0)),
    ),
    "precharge stuck open": (
        PlantCondition(stuck_open=frozenset({PRECHARGE})),
        (OPEN, OPEN, u_pn(0), u_pn(0), u_pn(350), u_pn(350)),
    ),
    "main- stuck open": (
        PlantCondition(stuck_open=frozenset({MAIN_MINUS})),
        (OPEN, PLUS, OPEN, PLUS, u_pn(0), u_pn(0)),
    ),
}
"""P-PE, N-PE, U_PN, P-B- at 350 V, 20 MOhm, meters 10 MOhm, dividers 5 MOhm, load 1 kOhm, by phase."""


@pytest.mark.usefixtures("nominal")
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: "+".join(phase) or "open")
@pytest.mark.parametrize("name", SIGNATURES)
def test_weld_and_stuck_signatures(name: str, phase: tuple[Relay, ...]) -> None:
    condition, signatures = SIGNATURES[name]
    plant = plant_of(condition)
    plant.switch(0.0, Element.LOAD, True)
    plant.switch(0.0, Element.DIGITIZER, True)
    for relay in phase:
        plant.relay_command(1.0, relay, True)
    expected = signatures[PHASES.index(phase)]
    pairs = ((Node.P, Node.PE), (Node.N, Node.PE), (Node.P, Node.N), (Node.P, Node.B_MINUS))
    for volts, (a, b) in zip(expected, pairs, strict=True):
        # The table is in whole volts, without the outer insulation of 2 GOhm and the PLC's 200 kOhm meter.
        assert volts is ANY or plant.voltage(60.0, a, b) == pytest.approx(volts, abs=1.5)


@pytest.mark.usefixtures("nominal")
def test_without_a_load_good_packs_show_ghosts() -> None:
    plant = plant_of()
    plant.switch(0.0, Element.PLC_METER, False)
    plant.switch(0.0, Element.DIGITIZER, True)
    plant.relay_command(1.0, PRECHARGE, True)
    assert plant.voltage(60.0, Node.P, Node.N) == pytest.approx(284.0, abs=1.0)


@pytest.mark.usefixtures("nominal")
def test_precharge_charges_the_link_with_its_time_constant() -> None:
    plant = plant_of()
    plant.switch(0.0, Element.LINK_CAPACITOR, True)
    plant.relay_command(1.0, MAIN_MINUS, True)
    plant.relay_command(2.0, PRECHARGE, True)
    plant.settle(2.05)
    stay_s = next(t_s for t_s in np.arange(2.05, 2.0, -1e-5) if not plant.contact_closed(PRECHARGE, t_s))
    start_v = plant.voltage(stay_s, Node.P, Node.N)
    tau_s = (50.0 + 57e-3) * 0.5e-3
    for age_s in (0.01, 0.025, 0.05, 0.1):
        ideal_v = 350.0 + (start_v - 350.0) * np.exp(-age_s / tau_s)
        assert plant.voltage(stay_s + age_s, Node.P, Node.N) == pytest.approx(ideal_v, rel=2e-3)
    assert plant.voltage(4.0, Node.P, Node.N) > 0.999 * 350.0


@pytest.mark.usefixtures("nominal")
def test_the_link_bleeds_by_itself_once_its_route_is_open() -> None:
    plant = plant_of()
    plant.switch(0.0, Element.LINK_CAPACITOR, True)
    for t_s, relay in ((1.0, MAIN_MINUS), (1.1, PRECHARGE)):
        plant.relay_command(t_s, relay, True)
    plant.coil_supply(3.0, False)
    plant.switch(3.1, Element.LINK_CAPACITOR, False)
    full_v = plant.voltage(3.1, Node.LINK, Node.N)
    assert full_v > 340.0
    assert plant.voltage(3.6, Node.LINK, Node.N) == pytest.approx(full_v / np.e, rel=1e-3)
    # The poles' own capacitance into the PLC's meter: 200 kOhm * 50 nF = 10 ms.
    assert plant.voltage(3.11, Node.P, Node.N) == pytest.approx(full_v / np.e, rel=0.02)
    assert plant.voltage(3.2, Node.P, Node.N) == pytest.approx(0.0, abs=0.1)


@pytest.mark.usefixtures("nominal")
def test_the_discharge_resistor_makes_the_link_safe_in_time() -> None:
    plant = plant_of()
    plant.switch(0.0, Element.LINK_CAPACITOR, True)
    for t_s, relay in ((1.0, MAIN_MINUS), (1.1, PRECHARGE)):
        plant.relay_command(t_s, relay, True)
    plant.coil_supply(3.0, False)
    plant.switch(3.05, Element.DISCHARGE, True)
    # R C ln(350/60) = 1 kOhm * 0.5 mF * 1.764 = 0.88 s; the PLC's meter shortens it by half a percent.
    assert plant.voltage(3.05 + 0.87, Node.P, Node.N) > 60.0
    assert plant.voltage(3.05 + 0.89, Node.P, Node.N) < 60.0


def test_coils_are_dead_without_their_supply() -> None:
    plant = Plant(AS52, PlantCondition(), 1)
    plant.relay_command(0.0, MAIN_PLUS, True)
    assert not plant.contact_closed(MAIN_PLUS, 1.0)
    plant.coil_supply(1.0, True)
    assert not plant.contact_closed(MAIN_PLUS, 1.0155)
    assert plant.contact_closed(MAIN_PLUS, 1.03)
    plant.coil_supply(2.0, False)
    assert plant.contact_closed(MAIN_PLUS, 2.0065)
    assert not plant.contact_closed(MAIN_PLUS, 2.01)


def exercise(plant: Plant) -> None:
    """Many events in 3 s, some close together."""
    plant.switch(0.1, Element.LINK_CAPACITOR, True)
    plant.switch(0.1, Element.DIGITIZER, True)
    plant.relay_command(0.2, MAIN_MINUS, True)
    plant.relay_command(0.3, PRECHARGE, True)
    plant.relay_command(0.8, MAIN_PLUS, True)
    plant.relay_command(1.0, PRECHARGE, False)
    plant.switch(1.2, Element.LOAD, True)
    plant.coil_supply(1.5, False)
    plant.switch(1.51, Element.LINK_CAPACITOR, False)
    plant.switch(1.6, Element.DISCHARGE, True)
    plant.switch(1.6, Element.PE_PROOF, True)


PAIRS = [(a, b) for a in Node for b in Node]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_waveforms_cross_events_and_agree_with_single_voltages(a: Node, b: Node) -> None:
    plant = plant_of()
    exercise(plant)
    times_s = np.linspace(0.0, 3.0, 3001)
    waveform_v = plant.waveform(times_s, a, b)
    single_v = [plant.voltage(float(t_s), a, b) for t_s in times_s]
    assert waveform_v == pytest.approx(single_v, abs=1e-9)
    assert plant.waveform(times_s, b, a) == pytest.approx(-waveform_v, abs=1e-9)


def test_an_empty_waveform() -> None:
    assert len(plant_of().waveform(np.empty(0), Node.P, Node.N)) == 0


def test_how_often_one_looks_changes_nothing() -> None:
    watched, unwatched = plant_of(), plant_of()
    seen: list[float] = []
    watched.on_switch.append(lambda t_s: seen.append(watched.voltage(t_s, Node.P, Node.N)))
    original: Callable[[float], None] = watched.settle

    def looking(t_s: float) -> None:
        original(t_s)
        for node in Node:
            watched.voltage(t_s, node, Node.PE)

    watched.settle = looking  # type: ignore[method-assign]
    exercise(watched)
    exercise(unwatched)
    times_s = np.linspace(0.0, 3.0, 777)
    for a, b in PAIRS:
        assert watched.waveform(times_s, a, b).tobytes() == unwatched.waveform(times_s, a, b).tobytes()
    assert len(seen) > 15


def test_watchers_hear_of_every_change_with_its_own_time_and_the_new_state() -> None:
    plant = plant_of()
    heard: list[tuple[float, bool]] = []
    plant.on_switch.append(lambda t_s: heard.append((t_s, plant.contact_closed(MAIN_PLUS, t_s))))
    plant.relay_command(1.0, MAIN_PLUS, True)
    assert heard == []
    plant.settle(100.0)
    assert [closed for _, closed in heard] == [True, False, True]
    assert all(1.016 <= t_s <= 1.022 for t_s, _ in heard)
    plant.switch(100.0, Element.LOAD, True)
    plant.switch(100.0, Element.LOAD, True)
    assert len(heard) == 4
    assert plant.closed(Element.LOAD)
    assert not plant.closed(Element.DISCHARGE)


def test_before_its_first_event_the_plant_has_always_been_at_rest() -> None:
    plant = plant_of()
    times_s = np.linspace(-1.0, 1.0, 11)
    waveform_v = plant.waveform(times_s, Node.B_PLUS, Node.PE)
    assert waveform_v.tolist() == [plant.voltage(-1.0, Node.B_PLUS, Node.PE)] * 11
    plant.switch(0.0, Element.LOAD, True)
    assert plant.voltage(-0.5, Node.B_PLUS, Node.PE) == waveform_v[0]
    assert plant.voltage(0.5, Node.B_PLUS, Node.PE) != waveform_v[0]


def test_an_input_in_the_past_takes_effect_at_the_newest_event() -> None:
    plant = plant_of()
    plant.switch(5.0, Element.LOAD, True)
    heard: list[float] = []
    plant.on_switch.append(heard.append)
    plant.switch(4.0, Element.DISCHARGE, True)
    assert heard == [5.0]


def test_a_minute_is_remembered_and_months_are_not() -> None:
    plant = plant_of()
    for k in range(5_000):
        plant.switch(float(k), Element.LOAD, k % 2 == 0)
        plant.voltage(max(k - 60.0, 0.0), Node.P, Node.PE)
    with pytest.raises(ValueError, match="remembered"):
        plant.voltage(10.0, Node.P, Node.PE)


SWITCHINGS = st.lists(
    st.tuples(
        st.floats(0.0, 2.0),
        st.sampled_from([*Element, *Relay]),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(SWITCHINGS)
def test_no_order_of_switching_makes_voltage_from_nothing(
    switchings: list[tuple[float, Element | Relay, bool]],
) -> None:
    plant = plant_of()
    now_s = 0.0
    for pause_s, what, closed in switchings:
        now_s += pause_s
        if isinstance(what, Element):
            plant.switch(now_s, what, closed)
        else:
            plant.relay_command(now_s, what, closed)
    times_s = np.linspace(0.0, now_s + 2.0, 500)
    for a, b in PAIRS:
        # Resistors and capacitors only: between two nodes never more than the stack and the charged capacitor.
        assert np.abs(plant.waveform(times_s, a, b)).max() <= 2.0 * plant.stack_v
    assert np.abs(plant.waveform(times_s, Node.LINK, Node.N)).max() <= plant.stack_v + 1e-6


def test_a_good_pack_gives_no_shock_with_everything_open() -> None:
    plant = plant_of()
    assert all(abs(plant.loaded_voltage(1.0, node)) < 10.0 for node in (Node.P, Node.N))


@pytest.mark.usefixtures("nominal")
def test_the_touch_hazard_of_a_closed_pole_is_its_insulation_to_the_other() -> None:
    plant = plant_of(PlantCondition(insulation_neg_ohm=10e3))
    assert abs(plant.loaded_voltage(0.5, Node.P)) < 10.0
    plant.relay_command(1.0, MAIN_PLUS, True)
    # 350 V drive 100 kOhm at plus and 10 kOhm at minus in series; 20 MOhm beside them hardly count.
    assert plant.loaded_voltage(2.0, Node.P) == pytest.approx(350.0 * 100.0 / 110.0, rel=2e-3)


@pytest.mark.usefixtures("nominal")
def test_insulation_seen_from_the_stack() -> None:
    plant = plant_of(PlantCondition(insulation_pos_ohm=30e3))
    pos_ohm, neg_ohm = plant.insulation_ohm()
    assert pos_ohm == pytest.approx(1.0 / (1.0 / 20e6 + 1.0 / 30e3), rel=1e-6)
    assert neg_ohm == pytest.approx(20e6, rel=0.03)
    plant.switch(0.0, Element.DIGITIZER, True)
    plant.relay_command(0.0, MAIN_MINUS, True)
    plant.relay_command(0.0, MAIN_PLUS, True)
    plant.settle(1.0)
    _, neg_ohm = plant.insulation_ohm()
    assert neg_ohm == pytest.approx(1.0 / (1.0 / 20e6 + 1.0 / 10e6), rel=0.01)


def test_cells_at_rest() -> None:
    plant = plant_of()
    volts = plant.cell_voltage_v(1.0)
    assert volts.shape == (96,)
    assert volts.sum() == pytest.approx(plant.stack_v, abs=1e-3)
    assert 3.5 < volts.min() < volts.max() < 3.65
    assert 0.5e-3 < volts.std() < 1.5e-3
    assert plant.cell_voltage_v(500.0).tobytes() == volts.tobytes()


def test_a_load_draws_current_and_cells_and_bars_drop() -> None:
    plant = plant_of()
    rest_v = plant.cell_voltage_v(0.5)
    plant.switch(1.0, Element.LOAD, True)
    plant.relay_command(1.0, MAIN_MINUS, True)
    plant.relay_command(1.0, MAIN_PLUS, True)
    current_a = plant.pack_current_a(2.0)
    # 1 kOhm beside the PLC's 200 kOhm
    assert current_a == pytest.approx(-plant.stack_v * (1 / 1e3 + 1 / 200e3), rel=1e-3)
    # A current of the load's size does not polarise.
    warm_ohm = plant.unit.group_ohm * resistance_factor(np.repeat(plant.unit.temperature_c, 8))
    assert plant.cell_voltage_v(2.0) - rest_v == pytest.approx(current_a * OHMIC_SHARE * warm_ohm, rel=1e-3)
    assert plant.busbar_voltage_v(2.0) == pytest.approx(current_a * plant.unit.busbar_ohm)
    assert plant.pack_current_a(0.5) == pytest.approx(0.0, abs=1e-3)


def test_temperatures_are_room_temperature_and_the_callers_own() -> None:
    plant = plant_of()
    plant.temperature_c(1.0)[:] = 0.0
    assert plant.temperature_c(1.0) == pytest.approx(np.full(12, plant.station.air_c), abs=4.0)


def test_the_same_seed_is_the_same_plant() -> None:
    first, again, other = plant_of(seed=5), plant_of(seed=5), plant_of(seed=6)
    for plant in (first, again, other):
        exercise(plant)
    times_s = np.linspace(0.0, 3.0, 500)
    assert first.waveform(times_s, Node.P, Node.PE).tobytes() == again.waveform(times_s, Node.P, Node.PE).tobytes()
    assert first.waveform(times_s, Node.P, Node.PE).tobytes() != other.waveform(times_s, Node.P, Node.PE).tobytes()
