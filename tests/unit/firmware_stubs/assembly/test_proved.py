"""The safety PLC sees the test voltage at the stacking station."""

from __future__ import annotations

from firmware_stubs.assembly import ProvedPlant
from firmware_stubs.assembly.insulated import InsulatedParts
from firmware_stubs.plant import Node, Plant, PlantCondition
from firmware_stubs.population import facts_of


def test_the_voltmeters_see_the_test_voltage_as_long_as_it_stands() -> None:
    insulated, plant = InsulatedParts(lambda: None), Plant(facts_of("AS52"), PlantCondition(), 7)
    proved = ProvedPlant(plant, insulated)

    def added_v(t_s: float, a: Node, b: Node) -> float:
        return proved.voltage(t_s, a, b) - plant.voltage(t_s, a, b)

    insulated.connect(0.0, 2e9, 50e-9)
    assert added_v(0.5, Node.P, Node.N) == 0.0
    insulated.tester_source(1.0, 500.0, 100e3)
    assert added_v(2.0, Node.P, Node.N) > 450.0
    assert added_v(2.0, Node.P, Node.PE) > 450.0
    assert (added_v(2.0, Node.N, Node.PE), added_v(2.0, Node.LINK, Node.N)) == (0.0, 0.0)
    insulated.tester_source(2.0, 0.0, 10e3)
    assert added_v(3.0, Node.P, Node.PE) < 1.0
