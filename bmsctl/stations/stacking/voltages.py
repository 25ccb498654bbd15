"""Voltages of modules and stack, as several steps measure and compare them."""

from __future__ import annotations

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import BatteryReading
from bmsctl.domain.units import Ohm, Volt
from bmsctl.errors import StepInvalid
from bmsctl.stations.stacking.context import StepContext


async def battery(ctx: StepContext) -> BatteryReading:
    """What the battery tester's leads lie on, in the recipe's ranges."""
    ranges = Volt(ctx.recipe.quantity("voltage_range")), Ohm(ctx.recipe.quantity("resistance_range"))
    return await ctx.devices.battery_tester.measure(ctx.leases["battery_tester"], *ranges)


def against_modules(ctx: StepContext, volts: float, what: str) -> Reading:
    """The whole stack's voltage, signed, against the sum of its modules as they were measured before they were joined.

    Raises:
        StepInvalid: not all of them have been.
    """
    sum_v = ctx.facts.modules_voltage_v()
    if len(ctx.facts.built.accepted) != ctx.pack.modules or sum_v <= 0.0:
        raise StepInvalid(
            "the modules' voltages are not all known: start the pack again with a cause, so that modules_in is run"
        )
    text = f"{what} {volts:.2f} V, modules {sum_v:.2f} V"
    return Reading(100.0 * (volts / sum_v - 1.0), "%", ctx.recipe.quantity("u95_voltage"), detail=text)
