"""What the leak tester's hoses are coupled to: the coolant plate, and the housing once the cover closes it."""

from __future__ import annotations

from firmware_stubs.assembly.build import PackUnderConstruction
from firmware_stubs.assembly.condition import AssemblyCondition
from firmware_stubs.assembly.drawing import LeakPort
from firmware_stubs.leak_tester import KELVIN, Part
from firmware_stubs.population import AssemblyUnit, PackFacts

M3_PER_LITRE = 1e-3
OPEN_CM3_PER_MIN = 1e6
"""A housing without a cover, or with a bolt that does not hold it down."""
HOUSING_M3_PER_PA = 5e-9
"""By how much cover and tray give way; a coolant plate does not."""


class Volumes:
    """Implements Volume, the target of the leak tester. Nothing is coupled at first."""

    def __init__(
        self,
        build: PackUnderConstruction,
        facts: PackFacts,
        unit: AssemblyUnit,
        condition: AssemblyCondition,
        air_c: float,
    ) -> None:
        self._build, self._facts = build, facts
        self._housing_leak = unit.housing_leak if condition.housing_leak is None else condition.housing_leak
        self._coolant_leak = unit.coolant_leak if condition.coolant_leak is None else condition.coolant_leak
        self._temperature_k = KELVIN + air_c
        self._coupled: set[LeakPort] = set()

    def couple(self, port: LeakPort) -> None:
        """Put a hose on."""
        self._coupled.add(port)

    def part(self, channel: int) -> Part | None:
        """What is coupled to a channel."""
        for port in self._coupled:
            if port.channel == channel:
                return self._housing(port) if port is self._build.drawing.housing else self._coolant(port)
        return None

    def _coolant(self, port: LeakPort) -> Part:
        volume_m3 = M3_PER_LITRE * self._facts.coolant_litre
        return Part(volume_m3, self._coolant_leak, port.pressure_pa, temperature_k=self._temperature_k)

    def _housing(self, port: LeakPort) -> Part:
        leak = self._housing_leak if self._build.tight else OPEN_CM3_PER_MIN
        volume_m3 = M3_PER_LITRE * self._facts.housing_litre
        return Part(volume_m3, leak, port.pressure_pa, HOUSING_M3_PER_PA, self._temperature_k)
