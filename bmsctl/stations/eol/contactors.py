"""Is any contactor welded? Each pole of the pack is closed alone, onto a load and no capacitor.

With a welded contactor on the other side the load sees the pack; with good ones it sees nothing. The BMS's
tap from B- to the outer plus tells a weld on the plus side, read before the digitizer is there: its inputs
would lift the poles of a pack with an insulation fault. The capacitor must stay away: closing
onto a welded pole with it would be a short circuit current.
"""

from __future__ import annotations

from collections.abc import Set
from functools import partial

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import Relay, Route
from bmsctl.stations.eol.closing import close_precharge, open_contactors, precharge_cooled
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.dtcs import measure_own_dtcs
from bmsctl.stations.undo import undone

_ALL_OPEN: tuple[str, Set[Relay]] = ("all_open", frozenset())
_MAIN_MINUS_ONLY: tuple[str, Set[Relay]] = ("main_minus_only", frozenset({Relay.MAIN_MINUS}))
TAP_PHASES = (_ALL_OPEN, _MAIN_MINUS_ONLY)
POLE_PHASES = (_ALL_OPEN, ("precharge_only", frozenset({Relay.PRECHARGE})), _MAIN_MINUS_ONLY)


async def contactors_open(ctx: StepContext) -> None:
    """Measure P against B- where plus must be isolated, then U_PN under load in three phases."""
    bms, matrix = ctx.devices.bms, ctx.devices.matrix
    await precharge_cooled(ctx)
    await bms.take_relays(ctx.leases["bms"])
    await matrix.connect(ctx.leases["matrix"], {Route.LOAD})
    async with undone(partial(open_contactors, ctx)):
        for phase, closed in TAP_PHASES:
            await _set_relays(ctx, closed)
            await _measure_tap(ctx, f"p_b_minus_{phase}")
        await bms.set_relays(ctx.leases["bms"], frozenset())
        await matrix.connect(ctx.leases["matrix"], {Route.DIGITIZER, Route.LOAD})
        for phase, closed in POLE_PHASES:
            await _set_relays(ctx, closed)
            await _measure_poles(ctx, f"u_pn_{phase}")
    await matrix.connect(ctx.leases["matrix"], frozenset())
    await measure_own_dtcs(ctx)


async def _set_relays(ctx: StepContext, closed: Set[Relay]) -> None:
    if Relay.PRECHARGE in closed:
        await close_precharge(ctx, closed)
    else:
        await ctx.devices.bms.set_relays(ctx.leases["bms"], closed)
    await ctx.dwell(ctx.recipe.quantity("settle"))


async def _measure_poles(ctx: StepContext, name: str) -> None:
    reading = await ctx.devices.digitizer.mean(ctx.leases["digitizer"], ctx.recipe.count("samples"))
    ctx.measure(name, Reading(reading.v_pos - reading.v_neg, "V", ctx.recipe.quantity("u95_voltage")))


async def _measure_tap(ctx: StepContext, name: str) -> None:
    taps = await ctx.devices.bms.taps(ctx.leases["bms"])
    ctx.measure(name, Reading(taps.u_p, "V", ctx.recipe.quantity("u95_voltage")))
