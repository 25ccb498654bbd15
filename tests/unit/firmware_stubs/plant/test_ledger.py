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
    ("potential_v", "connected", "expected"),
    [
        # B-, B+, P, N
        ((-175.0, 175.0, 425.0, 0.0), "both", []),
        ((-175.0, 175.0, 426.0, 0.0), "both", [DamageRule.OUTER_TO_STACK]),
        ((-175.0, 175.0, 0.0, -426.0), "both", [DamageRule.OUTER_TO_STACK]),
        ((-175.0, 175.0, 0.0, -426.0), "dividers", [DamageRule.OUTER_TO_STACK]),
        ((-175.0, 175.0, 0.0, -426.0), "digitizer", []),
        ((-175.0, 175.0, 2250.0, 2250.0), "", []),
        ((250.0, 600.0, 600.0, 250.0), "both", []),
        ((251.0, 601.0, 601.0, 251.0), "both", [DamageRule.STACK_TO_CHASSIS]),
        ((-601.0, -251.0, -251.0, -601.0), "", [DamageRule.STACK_TO_CHASSIS]),
        ((-175.0, 175.0, 1000.0, 0.0), "digitizer", []),
        ((-175.0, 175.0, 1001.0, 0.0), "digitizer", [DamageRule.DIGITIZER]),
        ((-175.0, 175.0, 0.0, -1001.0), "digitizer", [DamageRule.DIGITIZER]),
        ((-175.0, 175.0, 1001.0, 0.0), "", []),
    ],
)
def test_overvoltages(potential_v: tuple[float, ...], connected: str, expected: list[DamageRule]) -> None:
    damages = rules.overvoltages(
        0.0,
        potential_v,
        dividers=connected in ("dividers", "both"),
        digitizer=connected in ("digitizer", "both"),
    )
    assert [damage.rule for damage in damages] == expected


def routed(condition: PlantCondition | None = None, *, dividers: bool = False) -> Plant:
    """A tester on both poles, which were low before; coils dead."""
    plant = plant_with(Element.DIGITIZER, condition=condition)
    plant.coil_supply(0.1, False)
    plant.switch(0.2, Element.DIVIDERS, False)
    plant.switch(20.0, Element.DIGITIZER, False)
    for element in (Element.TESTER_PLUS, Element.TESTER_MINUS):
        plant.switch(20.0, element, True)
    plant.switch(20.1, Element.DIVIDERS, dividers)
    return plant


def withstand(condition: PlantCondition | None = None, *, dividers: bool = False) -> Plant:
    """2250 V in steps of 50 V, and the discharge after it."""
    plant = routed(condition, dividers=dividers)
    for k in range(45):
        plant.tester_source(21.0 + 0.1 * k, 50.0 * (k + 1), 10e3)
    plant.tester_source(30.0, 0.0, 10e3)
    for element in (Element.TESTER_PLUS, Element.TESTER_MINUS):
        plant.switch(31.0, element, False)
    return plant


def test_open_contactors_stand_the_withstand_test_and_dividers_do_not() -> None:
    assert withstand().ledger == []
    assert broken(withstand(dividers=True)) == [DamageRule.STACK_TO_CHASSIS]


@pytest.mark.parametrize(("dividers", "damages"), [(True, [DamageRule.OUTER_TO_STACK]), (False, [])])
def test_a_step_of_the_tester_meets_the_dividers_first(dividers: bool, damages: list[DamageRule]) -> None:
    plant = routed(dividers=dividers)
    for start_s in (21.0, 31.0):
        plant.tester_source(start_s, 1000.0, 10e3)
        plant.tester_source(start_s + 0.02, 1000.0, 20e3)
        plant.tester_source(start_s + 0.04, 0.0, 20e3)
    assert broken(plant) == 2 * damages


@pytest.mark.parametrize("relay", [Relay.MAIN_PLUS, Relay.MAIN_MINUS, Relay.PRECHARGE])
def test_a_withstand_test_onto_a_welded_contactor_destroys_the_pack(relay: Relay) -> None:
    assert DamageRule.STACK_TO_CHASSIS in broken(withstand(PlantCondition(welded=frozenset({relay}))))


def charging(amps: float) -> Plant:
    """Precharged onto the cycler's output, and this current flowing from 2.0 s on."""
    plant = plant_with(Element.CYCLER)
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.1, Relay.PRECHARGE, True)
    plant.relay_command(1.3, Relay.MAIN_PLUS, True)
    plant.relay_command(1.5, Relay.PRECHARGE, False)
    plant.cycler_current(2.0, amps)
    return plant


@pytest.mark.parametrize(("amps", "damages"), [(100.0, 1), (-100.0, 1), (9.0, 0), (0.0, 0)])
@pytest.mark.parametrize("contact", ["main_plus", "main_minus", "cycler"])
def test_a_contact_that_cuts_the_cyclers_current(contact: str, amps: float, damages: int) -> None:
    plant = charging(amps)
    if contact == "cycler":
        plant.switch(3.0, Element.CYCLER, False)
    else:
        plant.relay_command(3.0, Relay(contact), False)
    plant.settle(4.0)
    assert broken(plant) == damages * [DamageRule.BREAK]
    if damages:
        assert plant.ledger[0].text.startswith(f"{contact} opened at ")
        assert plant.ledger[0].text.endswith("100.0 A")
    assert abs(plant.pack_current_a(4.0)) < 5e-3
    assert plant.charge_ah(3.0) == pytest.approx(amps / 3600.0)
    # The contact follows its coil within 9 ms.
    assert abs(plant.charge_ah(10.0)) <= abs(amps) * 1.009 / 3600.0
    assert plant.charge_ah(10.0) == plant.charge_ah(4.0)


def test_closing_onto_the_cyclers_empty_output() -> None:
    plant = plant_with(Element.CYCLER)
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.1, Relay.MAIN_PLUS, True)
    plant.settle(2.0)
    (damage,) = plant.ledger
    assert damage.rule is DamageRule.INRUSH
    assert damage.text.endswith("and 100 µF")


def test_shorting_the_stack_through_the_testers_routes() -> None:
    plant = plant_with(Element.TESTER_PLUS, Element.TESTER_MINUS)
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.1, Relay.MAIN_PLUS, True)
    plant.settle(2.0)
    assert DamageRule.INRUSH in broken(plant)


@pytest.mark.parametrize("element", [Element.CYCLER, Element.TESTER_PLUS])
def test_a_sources_route_switched_hot(element: Element) -> None:
    plant = plant_with(Element.LOAD)
    plant.relay_command(1.0, Relay.MAIN_MINUS, True)
    plant.relay_command(1.0, Relay.MAIN_PLUS, True)
    plant.switch(2.0, element, True)
    assert broken(plant) == [DamageRule.HOT_ROUTE]
