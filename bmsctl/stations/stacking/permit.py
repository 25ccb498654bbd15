"""Test voltage at a module or the stack: only behind a closed guard, and proved gone before anybody opens it.

The safety PLC grants the permissive only with its guard closed, and trips if it is opened meanwhile. The insulation
tester discharges what it has charged, and the PLC then proves it by its own two channels.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial

from bmsctl.stations.stacking.context import StepContext
from bmsctl.stations.undo import undone
from bmsctl.stations.voltage_free import PROVED_WITHIN_S, voltage_free


@contextlib.asynccontextmanager
async def permitted(ctx: StepContext) -> AsyncIterator[None]:
    """A permissive for the block, its beginning on record; given back, and below 60 V proved, when the block ends.

    The pack's contactors have no coil supply meanwhile, so that no test voltage gets further than it is to.

    Raises:
        DeviceRefused: guard, e-stop or a trip forbids it.
        DeviceTimeout: the PLC does not prove it afterwards: nobody may touch anything.
        StepInvalid: nor does it after an error of the block.
    """
    plc, lease = ctx.devices.plc, ctx.leases["plc"]
    await ctx.log.commit()
    async with undone(partial(_give_back, ctx)):
        await plc.permit(lease, ctx.token())
        await plc.feed_coils(lease, on=False)
        yield


async def _give_back(ctx: StepContext) -> None:
    ctx.devices.insulation_tester.off()
    ctx.devices.plc.drop_permit()
    ctx.leases["plc"].quiet_for(PROVED_WITHIN_S)
    await voltage_free(ctx.devices.plc, ctx.now, PROVED_WITHIN_S)
