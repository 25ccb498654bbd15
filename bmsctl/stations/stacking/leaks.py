"""Are the coolant plate and the closed housing tight? By the decay of a pressure."""

from __future__ import annotations

from bmsctl.analysis.leak import leak_rate
from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.ports import LeakTest, ManualTask
from bmsctl.domain.units import Pascal, Second
from bmsctl.stations.stacking.context import StepContext
from bmsctl.stations.stacking.operator import confirm


async def leak_test(ctx: StepContext) -> None:
    """Have the tester coupled, and measure the leak rate at test pressure."""
    if "leak_rate" in ctx.measurements:
        return
    await confirm(ctx, ManualTask.CONNECT, ctx.recipe.text("port"), "connect", "connect_within")
    recipe = ctx.recipe
    pressure_pa, settle_s = recipe.quantity("test_pressure"), recipe.quantity("settle")
    phases = (Second(recipe.quantity(name)) for name in ("fill", "settle", "test"))
    wanted = LeakTest(recipe.count("channel"), Pascal(pressure_pa), *phases)
    decay = await ctx.devices.leak_tester.test(ctx.leases["leak_tester"], wanted)
    for name, unit, data in (
        ("time", "s", decay.time_s),
        ("pressure", "Pa", decay.pressure_pa),
        ("temperature", "degC", decay.temperature_c),
        ("atmosphere", "Pa", decay.atmosphere_pa),
    ):
        ctx.trace(name, unit, None, data)
    tolerance_pa = recipe.quantity("pressure_tolerance") / 100.0 * abs(pressure_pa)
    rate = leak_rate(decay, recipe.quantity("volume"), settle_s, pressure_pa, tolerance_pa)
    fell = "the pressure fell out of its tolerance" if rate.at_least else f"residual {rate.residual_pa:.1f} Pa"
    detail, bound = rate.undecided or fell, ABOVE if rate.at_least else None
    ctx.measure("leak_rate", Reading(rate.cm3_per_min, "cm3/min", recipe.quantity("u95_rate"), detail, bound))
