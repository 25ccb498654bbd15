"""Every rule of the damage ledger, at its limit, and the plant that must not break it in normal use."""

from __future__ import annotations

import pytest

from bmsctl.domain.ports import Relay
from firmware_stubs.plant import DamageRule, Element, Plant, PlantCondition
from firmware_stubs.plant import ledger as rules
from firmware_stubs.population import facts_of


def plant_with(*elements: Element, condition: PlantCondition | None = None) -> Plant:
    plant = Plant(facts_of("AS52"), condition or PlantCondition(), seed=1)
    plant.coil_supply(0.0, True)
    for element in elements:
        plant.switch(0.0, element, True)
    return plant


def broken(plant: Plant) -> list[DamageRule]:
    return [damage.rule for damage in plant.ledger]


def precharged() -> Plant:
    """Both poles closed onto the station's link capacitor, in the right order."""
    plant = plant_with(Element.LINK_CAPACITOR)
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.1, Relay.PRECHARGE, True)
    plant.relay_command(1.6, Relay.MAIN_PLUS, True)
    plant.relay_command(1.8, Relay.PRECHARGE, False)
    plant.settle(2.0)
    return plant


def test_precharge_load_and_orderly_opening_damage_nothing() -> None:
    plant = precharged()
    plant.switch(2.0, Element.LOAD, True)
    for relay in (Relay.MAIN_PLUS, Relay.MAIN_MINUS):
        plant.relay_command(3.0, relay, False)
    plant.switch(3.1, Element.LINK_CAPACITOR, False)
    plant.switch(3.1, Element.DISCHARGE, True)
    plant.settle(10.0)
    assert plant.ledger == []


@pytest.mark.parametrize("after_s", [0.015, 0.018, 0.0195, 0.021, 0.025, 0.04, 0.1])
def test_coils_cut_in_the_middle_of_precharge_damage_nothing(after_s: float) -> None:
    plant = plant_with(Element.LINK_CAPACITOR)
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.1, Relay.PRECHARGE, True)
    plant.coil_supply(1.1 + after_s, False)
    plant.switch(1.1 + after_s + 0.015, Element.LINK_CAPACITOR, False)
    plant.settle(3.0)
    assert plant.ledger == []


def test_closing_onto_the_empty_link_capacitor() -> None:
    plant = plant_with(Element.LINK_CAPACITOR)
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.1, Relay.MAIN_PLUS, True)
    plant.settle(2.0)
    (damage,) = plant.ledger
    assert damage.rule is DamageRule.INRUSH
    assert 1.116 <= damage.t_s <= 1.120
    link_uf = plant.station.link_farad * 1e6
    assert damage.text == f"main_plus closed onto {plant.stack_v:.0f} V and {link_uf:.0f} µF"


def test_closing_onto_the_empty_link_capacitor_through_a_welded_pole() -> None:
    condition = PlantCondition(welded=frozenset({Relay.MAIN_PLUS}))
    plant = plant_with(Element.LINK_CAPACITOR, condition=condition)
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.settle(2.0)
    assert broken(plant) == [DamageRule.INRUSH]


@pytest.mark.parametrize("relay", [Relay.MAIN_PLUS, Relay.PRECHARGE])
def test_without_the_link_capacitor_a_welded_pole_is_found_without_damage(relay: Relay) -> None:
    plant = plant_with(Element.LOAD, condition=PlantCondition(welded=frozenset({relay})))
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(2.0, Relay.MAIN_MINUS, False)
    plant.settle(3.0)
    assert plant.ledger == []


def test_closing_through_the_precharge_resistor_is_no_inrush() -> None:
    plant = plant_with(Element.LINK_CAPACITOR)
    plant.relay_command(1.0, Relay.PRECHARGE, True)
    plant.relay_command(1.1, Relay.MAIN_MINUS, True)
    plant.settle(2.0)
    assert plant.ledger == []


def test_opening_above_ten_amperes() -> None:
    plant = plant_with(Element.LINK_CAPACITOR, condition=PlantCondition(precharge_ohm=20.0))
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.1, Relay.PRECHARGE, True)
    plant.settle(1.1155)
    plant.relay_command(1.1155, Relay.MAIN_MINUS, False)
    plant.settle(2.0)
    damages = [damage for damage in plant.ledger if damage.rule is DamageRule.BREAK]
    assert len(damages) == 1
    assert damages[0].text.startswith("main_minus opened at ")


def test_the_precharge_resistor_takes_three_a_minute() -> None:
    plant = plant_with(Element.LOAD)
    for k in range(3):
        plant.relay_command(10.0 + 10.0 * k, Relay.PRECHARGE, True)
        plant.relay_command(11.0 + 10.0 * k, Relay.PRECHARGE, False)
    plant.settle(40.0)
    assert plant.ledger == []
    plant.relay_command(69.0, Relay.PRECHARGE, True)
    plant.settle(69.9)
    assert broken(plant) == [DamageRule.PRECHARGE]


def test_the_precharge_resistor_cools() -> None:
    plant = plant_with(Element.LOAD)
    for k in range(10):
        plant.relay_command(10.0 + 21.0 * k, Relay.PRECHARGE, True)
        plant.relay_command(11.0 + 21.0 * k, Relay.PRECHARGE, False)
    plant.settle(300.0)
    assert plant.ledger == []


def test_a_route_switched_hot() -> None:
    plant = plant_with(Element.LOAD)
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.0, Relay.MAIN_PLUS, True)
    plant.switch(2.0, Element.LINK_CAPACITOR, True)
    assert broken(plant) == [DamageRule.HOT_ROUTE]


def test_a_route_opened_under_current() -> None:
    plant = plant_with(Element.LINK_CAPACITOR, condition=PlantCondition(precharge_ohm=20.0))
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.1, Relay.PRECHARGE, True)
    plant.switch(1.1225, Element.LINK_CAPACITOR, False)
    assert broken(plant) == [DamageRule.BREAK]


@pytest.mark.parametrize(
    ("across_v", "farad", "hit"), [(20.1, 11e-6, True), (-20.1, 11e-6, True), (20, 1, False), (400, 10e-6, False)]
)
def test_inrush_limits(across_v: float, farad: float, hit: bool) -> None:
    assert (rules.inrush(0.0, "main_plus", across_v, farad) is not None) is hit


@pytest.mark.parametrize(("current_a", "hit"), [(10.0, False), (10.1, True), (-10.1, True)])
def test_break_limit(current_a: float, hit: bool) -> None:
    assert (rules.broken_current(0.0, "main_plus", current_a) is not None) is hit


@pytest.mark.parametrize(("across_v", "hit"), [(60.0, False), (60.1, True), (-60.1, True)])
def test_hot_route_limit(across_v: float, hit: bool) -> None:
    assert (rules.hot_route(0.0, "link_capacitor", across_v) is not None) is hit


@pytest.mark.parametrize(
    ("potential_v", "digitizer", "expected"),
    [
        # B-, B+, P, N, LINK, PE
        ((-175.0, 175.0, 425.0, 0.0, 0.0, 0.0), True, []),
        ((-175.0, 175.0, 426.0, 0.0, 0.0, 0.0), True, [DamageRule.OUTER_TO_STACK]),
        ((-175.0, 175.0, 0.0, -426.0, 0.0, 0.0), True, [DamageRule.OUTER_TO_STACK]),
        ((900.0, 1250.0, 1001.0, 900.0, 0.0, 0.0), True, [DamageRule.DIGITIZER]),
        ((900.0, 1250.0, 1001.0, 900.0, 0.0, 0.0), False, []),
        ((-1250.0, -900.0, -900.0, -1001.0, 0.0, 0.0), True, [DamageRule.DIGITIZER]),
    ],
)
def test_overvoltages(potential_v: tuple[float, ...], digitizer: bool, expected: list[DamageRule]) -> None:
    assert [damage.rule for damage in rules.overvoltages(0.0, potential_v, digitizer)] == expected
