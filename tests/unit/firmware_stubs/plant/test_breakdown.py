"""Outer insulation that breaks down under the tester's voltage, and recovers."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_stubs.plant import Element, Node, Plant, PlantCondition
from firmware_stubs.population import facts_of

OUTPUT_OHM = 10e3


def routed(breakdown_v: float | None, *poles: Element) -> Plant:
    """The tester on these poles, dividers off, ready to ramp at 21 s."""
    plant = Plant(facts_of("AS52"), PlantCondition(breakdown_v=breakdown_v), seed=1)
    plant.switch(0.0, Element.DIGITIZER, True)
    plant.switch(0.1, Element.DIVIDERS, False)
    plant.switch(20.0, Element.DIGITIZER, False)
    plant.switch(20.0, Element.PLC_METER, False)
    for pole in poles or (Element.TESTER_PLUS, Element.TESTER_MINUS):
        plant.switch(20.0, pole, True)
    return plant


def ramp(plant: Plant, volts: float) -> float:
    """Steps of 50 V every 0.1 s; when the last is over."""
    steps = round(volts / 50.0)
    for k in range(steps):
        plant.tester_source(21.0 + 0.1 * k, 50.0 * (k + 1), OUTPUT_OHM)
    return 21.0 + 0.1 * steps


def test_good_insulation_holds_with_next_to_no_current() -> None:
    plant = routed(None)
    end_s = ramp(plant, 2250.0)
    assert plant.voltage(end_s, Node.P, Node.PE) == pytest.approx(2250.0, abs=1.0)
    assert 0.0 < plant.tester_current_a(end_s) < 0.1e-3
    assert plant.ledger == []


@pytest.mark.parametrize("breakdown_v", [700.0, 1500.0, 2000.0])
@pytest.mark.parametrize("poles", [(Element.TESTER_PLUS,), (Element.TESTER_MINUS,), ()])
def test_it_breaks_down_above_its_voltage(breakdown_v: float, poles: tuple[Element, ...]) -> None:
    plant = routed(breakdown_v, *poles)
    end_s = ramp(plant, 2250.0)
    node = Node.N if poles == (Element.TESTER_MINUS,) else Node.P
    times_s = np.arange(21.0, end_s, 1e-3)
    volts = plant.waveform(times_s, node, Node.PE)
    assert volts.max() == pytest.approx(breakdown_v, abs=50.0)
    assert volts.max() <= breakdown_v + 1e-6
    # The arc's 3 kOhm behind the tester's output.
    assert volts[-1] == pytest.approx(2250.0 * 3.0 / 13.0, rel=1e-3)
    assert plant.tester_current_a(end_s) == pytest.approx(2250.0 / 13e3, rel=1e-3)


def test_it_holds_just_below_its_voltage() -> None:
    plant = routed(1000.5)
    end_s = ramp(plant, 1000.0)
    assert plant.tester_current_a(end_s) < 0.1e-3


def test_the_arc_goes_out_once_the_tester_is_off() -> None:
    plant = routed(700.0)
    end_s = ramp(plant, 1000.0)
    assert plant.tester_current_a(end_s) > 50e-3
    plant.tester_source(end_s, 0.0, OUTPUT_OHM)
    assert plant.voltage(end_s + 0.1, Node.P, Node.PE) < 50.0
    plant.tester_source(end_s + 0.5, 500.0, OUTPUT_OHM)
    assert plant.voltage(end_s + 1.0, Node.P, Node.PE) == pytest.approx(500.0, abs=1.0)
    assert plant.tester_current_a(end_s + 1.0) < 0.1e-3
    plant.tester_source(end_s + 1.5, 750.0, OUTPUT_OHM)
    assert plant.tester_current_a(end_s + 2.0) > 50e-3


def test_the_insulation_tester_at_500_v_sees_nothing() -> None:
    good, bad = routed(None), routed(700.0)
    for plant in (good, bad):
        plant.tester_source(21.0, 500.0, 100e3)
    assert bad.tester_current_a(25.0) == good.tester_current_a(25.0)


def test_how_often_one_looks_changes_nothing() -> None:
    watched, unwatched = routed(1234.0), routed(1234.0)
    for k in range(30):
        for plant in (watched, unwatched):
            plant.tester_source(21.0 + 0.1 * k, 50.0 * (k + 1), OUTPUT_OHM)
        for ahead_s in (0.003, 0.04, 0.09):
            watched.voltage(21.0 + 0.1 * k + ahead_s, Node.P, Node.PE)
    times_s = np.linspace(21.0, 25.0, 999)
    looked, unlooked = (plant.waveform(times_s, Node.P, Node.PE) for plant in (watched, unwatched))
    assert looked.tobytes() == unlooked.tobytes()


def test_without_a_tester_even_poor_insulation_holds() -> None:
    plant = Plant(facts_of("AS52"), PlantCondition(breakdown_v=700.0), seed=1)
    plant.settle(1000.0)
    assert plant.insulation_ohm()[0] > 1e6
