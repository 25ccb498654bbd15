"""Do the outer poles stand their test voltages against the chassis?

Tested is what lies outside the open contactors. Their coils have no supply meanwhile, so that no test voltage can
meet the cells, and the BMS's dividers, which would be measured and destroyed, are off.
"""

from __future__ import annotations

from functools import partial

from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.ports import Route
from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.insulation import insulation
from bmsctl.stations.undo import undone

BOTH = frozenset({Route.TESTER_PLUS, Route.TESTER_MINUS})
POLES = (
    ("insulation_plus", frozenset({Route.TESTER_PLUS})),
    ("insulation_minus", frozenset({Route.TESTER_MINUS})),
    ("insulation_both", BOTH),
)


async def insulation_outer(ctx: StepContext) -> None:
    """Measure the insulation of each outer pole to chassis, and of both together."""
    async with undone(partial(_rejoin, ctx)):
        await _set_apart(ctx)
        for name, poles in POLES:
            await ctx.devices.matrix.connect(ctx.leases["matrix"], {Route.INSULATION_TESTER, *poles})
            ctx.measure(name, await insulation(ctx, "test_voltage", "duration"))


async def withstand(ctx: StepContext) -> None:
    """Measure the leakage of both outer poles at the withstand voltage; then their insulation, and what is left."""
    matrix, lease = ctx.devices.matrix, ctx.leases["matrix"]
    async with undone(partial(_rejoin, ctx)):
        await _set_apart(ctx)
        await matrix.connect(lease, {Route.WITHSTAND_TESTER, *BOTH})
        ctx.measure("leakage_current", await _leakage(ctx))
        await matrix.connect(lease, {Route.INSULATION_TESTER, *BOTH})
        ctx.measure("insulation_after", await insulation(ctx, "insulation_voltage", "insulation_duration"))
        await matrix.connect(lease, {Route.DIGITIZER})
        ctx.measure("residual_voltage", Reading(await _worse_pole_v(ctx), "V", ctx.recipe.quantity("u95_voltage")))


async def _set_apart(ctx: StepContext) -> None:
    """Dividers off, the poles discharged through the digitizer, coils dead; INVALID if a foreign voltage stays."""
    await ctx.devices.matrix.connect(ctx.leases["matrix"], {Route.DIGITIZER})
    await ctx.devices.bms.dividers_enable(ctx.leases["bms"], on=False)
    await ctx.dwell(ctx.recipe.quantity("decay"))
    pole_v = await _worse_pole_v(ctx)
    if abs(pole_v) >= ctx.recipe.quantity("foreign_voltage"):
        raise StepInvalid(
            f"{pole_v:.1f} V between an outer pole and chassis with every contactor open; no test onto it"
        )
    await ctx.devices.plc.feed_coils(ctx.leases["plc"], on=False)


async def _rejoin(ctx: StepContext) -> None:
    """Testers off and away before a coil can be fed again."""
    ctx.devices.insulation_tester.off()
    ctx.devices.withstand_tester.off()
    await ctx.devices.matrix.connect(ctx.leases["matrix"], frozenset())
    await ctx.devices.plc.feed_coils(ctx.leases["plc"], on=True)
    await ctx.devices.bms.dividers_enable(ctx.leases["bms"], on=True)


async def _worse_pole_v(ctx: StepContext) -> float:
    """Voltage to chassis of the outer pole that is farther from it."""
    reading = await ctx.devices.digitizer.mean(ctx.leases["digitizer"], ctx.recipe.count("samples"))
    return max(reading.v_pos, reading.v_neg, key=abs)


async def _leakage(ctx: StepContext) -> Reading:
    """Leakage during the hold. A trip is a breakdown of the pack: the current went beyond the trip's."""
    recipe = ctx.recipe
    trip = Ampere(recipe.quantity("trip_current"))
    reading = await ctx.devices.withstand_tester.test(
        ctx.leases["withstand_tester"],
        Volt(recipe.quantity("test_voltage")),
        Second(recipe.quantity("ramp")),
        Second(recipe.quantity("hold")),
        trip,
    )
    current_a = trip if reading.tripped else reading.current
    u95_a = recipe.quantity("u95_offset") + recipe.quantity("u95_share") / 100.0 * current_a
    if reading.tripped:
        return Reading(current_a, "A", u95_a, detail=f"breakdown at {reading.voltage:.0f} V", bound=ABOVE)
    return Reading(current_a, "A", u95_a)
