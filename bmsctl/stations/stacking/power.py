"""12 V for the pack's BMS while a step needs it, and no longer: connectors are plugged and unplugged without."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial

from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.stations.stacking.context import StepContext
from bmsctl.stations.undo import undone


@contextlib.asynccontextmanager
async def powered(ctx: StepContext) -> AsyncIterator[None]:
    """Supply and wake the BMS, and wait for its first frame; supply and wake line off when the block ends."""
    voltage, limit = Volt(ctx.recipe.quantity("supply_voltage")), Ampere(ctx.recipe.quantity("supply_limit"))
    async with undone(partial(_off, ctx)):
        await ctx.devices.lv_supply.on(ctx.leases["lv_supply"], voltage, limit)
        await ctx.devices.plc.supply(ctx.leases["plc"], kl30=True, kl15=True)
        await ctx.devices.bms.alive(ctx.leases["bms"], Second(ctx.recipe.quantity("wake_within")))
        yield


async def _off(ctx: StepContext) -> None:
    try:
        await ctx.devices.plc.supply(ctx.leases["plc"], kl30=False, kl15=False)
    finally:
        ctx.devices.lv_supply.off()
