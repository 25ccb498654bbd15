"""What the safety PLC is wired to at the stacking station: the pack, and the lead of the insulation tester's frame.

Its voltmeters see the test voltage there, so that what it proves is that no test voltage is left.
"""

from __future__ import annotations

from firmware_stubs.assembly.insulated import InsulatedParts
from firmware_stubs.plant import Element, Node, Plant


class ProvedPlant:
    """Implements StationPlant."""

    def __init__(self, plant: Plant, insulated: InsulatedParts) -> None:
        self._plant, self._insulated = plant, insulated

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        """Of `a` against `b`; the lead is on the PLC's plus input."""
        volts = self._plant.voltage(t_s, a, b)
        return volts + self._insulated.voltage(t_s, Node.TESTER, Node.PE) if a is Node.P else volts

    def switch(self, t_s: float, element: Element, closed: bool) -> None:
        """As Plant."""
        self._plant.switch(t_s, element, closed)

    def coil_supply(self, t_s: float, on: bool) -> None:
        """As Plant."""
        self._plant.coil_supply(t_s, on)

    def bridge_hvil(self, t_s: float, closed: bool) -> None:
        """As Plant."""
        self._plant.bridge_hvil(t_s, closed)
