"""What does the pack draw from its 12 V supply while it sleeps, and does it fall asleep by itself?"""

from __future__ import annotations

from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.units import Ampere, Second
from bmsctl.errors import DeviceTimeout, StepInvalid
from bmsctl.stations.eol.context import StepContext

AWAKE_S = 1.0
"""A BMS heard so recently is awake."""


async def quiescent_current(ctx: StepContext) -> None:
    """Measure the current of the pack asleep, as `identify` has left it."""
    await _measure_quiescent(ctx)


async def sleep(ctx: StepContext) -> None:
    """Take the wake line away, measure how long the BMS goes on sending, and the current after that."""
    released_s = ctx.now()
    await ctx.devices.plc.supply(ctx.leases["plc"], kl30=True, kl15=False)
    ctx.measure("time_to_sleep", await _time_to_sleep(ctx, released_s))
    await _measure_quiescent(ctx)


async def _time_to_sleep(ctx: StepContext, released_s: float) -> Reading:
    """A BMS that is still heard at the end of the wait has been awake for at least so long."""
    bms, u95_s = ctx.devices.bms, ctx.recipe.quantity("u95_time")
    within = Second(ctx.recipe.quantity("sleep_within"))
    try:
        last_s = await bms.silent(ctx.leases["bms"], within)
    except DeviceTimeout as error:
        heard_s = bms.last_status_s()
        if heard_s is None or ctx.now() - heard_s > AWAKE_S:
            raise
        return Reading(within, "s", u95_s, detail=str(error), bound=ABOVE)
    if last_s < released_s:
        raise StepInvalid("the BMS was silent before its wake line was taken away; nothing is known of its sleep")
    return Reading(last_s - released_s, "s", u95_s)


async def _measure_quiescent(ctx: StepContext) -> None:
    """Look in the wide range first: what lies beyond the narrow one is judged by that look."""
    await ctx.dwell(ctx.recipe.quantity("settle"))
    look_a, u95_look_a = await _mean_current(ctx, "look_range", "look"), ctx.recipe.quantity("u95_look")
    if look_a + u95_look_a >= ctx.recipe.quantity("range"):
        ctx.measure("quiescent_current", Reading(look_a, "A", u95_look_a))
        return
    mean_a = await _mean_current(ctx, "range", "average")
    ctx.measure("quiescent_current", Reading(mean_a, "A", ctx.recipe.quantity("u95_current")))


async def _mean_current(ctx: StepContext, range_name: str, over_name: str) -> float:
    """Mean current in the range, and over the time, of these parameters."""
    range_a, over_s = Ampere(ctx.recipe.quantity(range_name)), Second(ctx.recipe.quantity(over_name))
    return await ctx.devices.lv_supply.current(ctx.leases["lv_supply"], range_a, over_s)
