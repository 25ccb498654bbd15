"""Is the interlock loop whole, and does every connector open it?"""

from __future__ import annotations

from bmsctl.domain.limits import ABOVE, Reading, judge
from bmsctl.domain.ports import Deed
from bmsctl.domain.steps import of_part
from bmsctl.domain.units import Ohm
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StepInvalid
from bmsctl.stations.stacking.context import StepContext, measure_once
from bmsctl.stations.stacking.operator import confirm

LOOP = "loop_resistance"


async def hvil_loop(ctx: StepContext) -> None:
    """Measure the loop with every connector plugged, then with each one open; a loop that is open is not opened more.

    INVALID if the loop is not closed again afterwards.
    """
    connectors = ctx.recipe.names("connectors")
    for connector in connectors:
        await confirm(ctx, Deed.CLOSE, connector, "close", "act_within")
    if measure_once(ctx, LOOP, await _loop(ctx)) is not Verdict.PASS:
        return
    for connector in connectors:
        name = of_part("opened", connector)
        if name in ctx.measurements:
            continue
        await confirm(ctx, Deed.OPEN, connector, "open", "act_within")
        ctx.measure(name, await _loop(ctx))
        await confirm(ctx, Deed.CLOSE, connector, "close", "act_within")
        again = judge(LOOP, await _loop(ctx), ctx.recipe.limits[LOOP])
        if again.verdict is not Verdict.PASS:
            raise StepInvalid(f"the loop is not closed again after {connector}: {again.reason}; plug it, start again")


async def _loop(ctx: StepContext) -> Reading:
    """The loop's resistance; over range, with contact proven, it is at least the end of the range."""
    channel, range_ohm = ctx.recipe.count("channel"), Ohm(ctx.recipe.quantity("range"))
    reading = await ctx.devices.ohmmeter.measure(ctx.leases["ohmmeter"], channel, range_ohm)
    u95_ohm = ctx.recipe.quantity("u95_offset") + ctx.recipe.quantity("u95_share") / 100.0 * reading.ohm
    return Reading(reading.ohm, "Ohm", u95_ohm, bound=ABOVE if reading.over_range else None)
