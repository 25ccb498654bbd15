"""Test voltage at a module or the stack: only behind a closed guard, and proved gone before anybody opens it.

The safety PLC grants the permissive only with its guard closed, and trips if it is opened meanwhile. The insulation
tester discharges what it has charged, and the PLC then proves it by its own two channels.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial

from bmsctl.domain.ports import Plc
from bmsctl.errors import DeviceTimeout
from bmsctl.stations.stacking.context import StepContext
from bmsctl.stations.undo import undone

PROVED_WITHIN_S = 4.5
STATUS_PERIOD_S = 0.02
STATUS_FRESH_S = 0.1


@contextlib.asynccontextmanager
async def permitted(ctx: StepContext) -> AsyncIterator[None]:
    """A permissive for the block, its beginning on record; given back, and below 60 V proved, when the block ends.

    The pack's contactors have no coil supply meanwhile, so that no test voltage gets further than it is to.

    Raises:
        DeviceRefused: guard, e-stop or a trip forbids it.
        DeviceTimeout: the PLC does not prove it afterwards: nobody may touch anything.
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
    await voltage_free(ctx.devices.plc, ctx.now)


async def voltage_free(plc: Plc, now: Callable[[], float]) -> None:
    """Return when the PLC, without permissive, proves below 60 V and discharges; asked for it just before.

    Raises:
        DeviceTimeout: it has not within PROVED_WITHIN_S.
    """
    asked_s = now()
    while now() - asked_s <= PROVED_WITHIN_S:
        status = plc.status()
        if (
            status is not None
            and asked_s < status.t_s
            and now() - status.t_s < STATUS_FRESH_S
            and not status.permissive
            and status.discharging
            and status.voltage_free
        ):
            return
        await asyncio.sleep(STATUS_PERIOD_S)
    raise DeviceTimeout(
        "plc",
        f"not proved below 60 V within {PROVED_WITHIN_S:g} s: do not touch pack or station, call the electrician",
    )
