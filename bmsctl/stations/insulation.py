"""Insulation by the insulation tester, as several stations measure it."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.ports import InsulationTester
from bmsctl.domain.units import Second, Volt
from bmsctl.stations.step import StepContext


class Testing(Protocol):
    """Devices with an insulation tester among them."""

    @property
    def insulation_tester(self) -> InsulationTester: ...


D = TypeVar("D", bound=Testing)


async def insulation(ctx: StepContext[D, Any], voltage_name: str, duration_name: str) -> Reading:
    """Insulation at the voltage, and after the time, of these parameters; beyond the tester's range it is a bound.

    Applies a test voltage: whoever calls has seen to it that nobody can touch it.
    """
    recipe = ctx.recipe
    voltage, duration = Volt(recipe.quantity(voltage_name)), Second(recipe.quantity(duration_name))
    reading = await ctx.devices.insulation_tester.measure(ctx.leases["insulation_tester"], voltage, duration)
    knee = "below" if reading.ohm < recipe.quantity("u95_knee") else "above"
    u95_ohm = recipe.quantity(f"u95_{knee}_knee") / 100.0 * reading.ohm
    bound = ABOVE if reading.over_range else None
    return Reading(reading.ohm, "Ohm", u95_ohm, detail=f"at {reading.voltage:.0f} V", bound=bound)
