"""Does the BMS see its interlock loop, closed and opened?

A loop that always reads closed is as dangerous as one that is open, so the station opens its part of it. The
BMS stores no trouble code meanwhile: what the station provokes must not ship.
"""

from __future__ import annotations

from functools import partial

from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceTimeout
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.dtcs import measure_own_dtcs
from bmsctl.stations.undo import undone


async def hvil(ctx: StepContext) -> None:
    """Measure the interlock flag, and how fast it follows; a loop that is open is not provoked further."""
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    closed = await bms.hvil_closed(lease)
    verdict = ctx.measure("loop_closed", Reading(None if closed is None else float(closed), None))
    await measure_own_dtcs(ctx)
    if verdict is not Verdict.PASS:
        return
    async with undone(partial(_restore, ctx)):
        await bms.dtc_setting(lease, on=False)
        for name, closed in (("open_response", False), ("close_response", True)):
            ctx.measure(name, await _response(ctx, closed))


async def _response(ctx: StepContext, closed: bool) -> Reading:
    """Move the loop; time until the flag follows. A flag that is still heard but has not followed is a bound."""
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    within, u95_s = Second(ctx.recipe.quantity("respond_within")), ctx.recipe.quantity("u95_time")
    moved_s = await ctx.devices.plc.bridge_hvil(ctx.leases["plc"], closed)
    try:
        followed_s = await bms.hvil_becomes(lease, closed, within)
    except DeviceTimeout as error:
        if await bms.hvil_closed(lease) is None:
            raise
        return Reading(within, "s", u95_s, detail=str(error), bound=ABOVE)
    return Reading(followed_s - moved_s, "s", u95_s)


async def _restore(ctx: StepContext) -> None:
    try:
        await ctx.devices.plc.bridge_hvil(ctx.leases["plc"], closed=True)
    finally:
        await ctx.devices.bms.dtc_setting(ctx.leases["bms"], on=True)
