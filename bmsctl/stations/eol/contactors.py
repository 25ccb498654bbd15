"""Is any contactor welded? Each pole of the pack is closed alone, onto a load and no capacitor.

With a welded contactor on the other side the load sees the pack; with good ones it sees nothing. The BMS's
tap from B- to the outer plus tells a weld on the plus side with everything open. The capacitor must stay
away: closing onto a welded pole with it would be a short circuit current.
"""

from __future__ import annotations

from collections.abc import Set

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import Relay, Route
from bmsctl.stations.eol.dtcs import measure_own_dtcs
from bmsctl.stations.step import StepContext

PHASES: tuple[tuple[str, Set[Relay]], ...] = (
    ("all_open", frozenset()),
    ("precharge_only", frozenset({Relay.PRECHARGE})),
    ("main_minus_only", frozenset({Relay.MAIN_MINUS})),
)


async def contactors_open(ctx: StepContext) -> None:
    """Measure U_PN under load in three phases, and P against B- where plus must be isolated."""
    bms, matrix = ctx.devices.bms, ctx.devices.matrix
    await bms.take_relays(ctx.leases["bms"])
    await matrix.connect(ctx.leases["matrix"], {Route.DIGITIZER, Route.LOAD})
    try:
        for phase, closed in PHASES:
            await bms.set_relays(ctx.leases["bms"], closed)
            await ctx.dwell(ctx.recipe.quantity("settle"))
            await _measure_phase(ctx, phase)
        await bms.set_relays(ctx.leases["bms"], frozenset())
    finally:
        bms.open_relays()
        ctx.facts.contactors_opened_s = ctx.now()
    await matrix.connect(ctx.leases["matrix"], frozenset())
    await measure_own_dtcs(ctx)


async def _measure_phase(ctx: StepContext, phase: str) -> None:
    u95_v = ctx.recipe.quantity("u95_voltage")
    reading = await ctx.devices.digitizer.mean(ctx.leases["digitizer"], ctx.recipe.count("samples"))
    ctx.measure(f"u_pn_{phase}", Reading(reading.v_pos - reading.v_neg, "V", u95_v))
    if f"p_b_minus_{phase}" in ctx.recipe.limits:
        taps = await ctx.devices.bms.taps(ctx.leases["bms"])
        ctx.measure(f"p_b_minus_{phase}", Reading(taps.u_p, "V", u95_v))
