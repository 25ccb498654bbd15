"""Waking the BMS, as several steps do."""

from __future__ import annotations

from bmsctl.domain.limits import Reading
from bmsctl.domain.units import Second
from bmsctl.stations.eol.context import StepContext


async def wake(ctx: StepContext, measurement: str) -> None:
    """Switch the pack's 12 V on, measure the time to the first frame, and wait until values are there."""
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    started_s = ctx.now()
    await ctx.devices.plc.supply(ctx.leases["plc"], kl30=True, kl15=True)
    alive_s = await bms.alive(lease, Second(ctx.recipe.quantity("wake_within")))
    ctx.measure(measurement, Reading(alive_s - started_s, "s", ctx.recipe.quantity("u95_time")))
    await bms.ready(lease, Second(ctx.recipe.quantity("ready_within")))
