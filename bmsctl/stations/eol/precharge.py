"""Does the pack precharge a link capacitor as designed, and does main plus really close?

The curve gives the time constant only; the resistance follows from the station's known capacitor. A rise too
fast to be resolved is a bound: the resistance is below what could have been. A main plus contactor that stays
open shows only under load, once the precharge path is open again.
"""

from __future__ import annotations

from functools import partial

from bmsctl.analysis.precharge import PrechargeCurve, fit_precharge
from bmsctl.domain.limits import BELOW, Reading
from bmsctl.domain.ports import Relay, Route
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.closing import close_precharge, open_contactors, precharge_cooled
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.dtcs import measure_own_dtcs
from bmsctl.stations.undo import undone


async def precharge(ctx: StepContext) -> None:
    """Measure insulation before closing, the precharge curve, and the poles under load.

    Nothing is closed onto an insulation fault, and main plus not onto a link that has not followed.
    """
    if await _imd_before(ctx) is not Verdict.PASS:
        return
    await precharge_cooled(ctx)
    await ctx.devices.bms.take_relays(ctx.leases["bms"])
    await ctx.devices.matrix.connect(ctx.leases["matrix"], {Route.DIGITIZER, Route.LINK_CAPACITOR})
    async with undone(partial(open_contactors, ctx)):
        pack_v, curve = await _charge(ctx)
        end_ratio = Reading(100.0 * curve.end_v / pack_v, "%", ctx.recipe.quantity("u95_ratio"))
        if ctx.measure("end_ratio", end_ratio) is Verdict.PASS:
            _measure_resistance(ctx, curve)
            await _load(ctx, pack_v)
            await measure_own_dtcs(ctx)


async def _imd_before(ctx: StepContext) -> Verdict:
    ohm = await ctx.devices.bms.imd(ctx.leases["bms"], Second(ctx.recipe.quantity("imd_within")))
    return ctx.measure("imd_before", Reading(ohm, "Ohm", ctx.recipe.quantity("u95_imd") / 100.0 * ohm))


async def _charge(ctx: StepContext) -> tuple[float, PrechargeCurve]:
    """Close main minus, then precharge, and record the link; pack voltage and fitted curve."""
    bms, digitizer = ctx.devices.bms, ctx.devices.digitizer
    taps = await bms.taps(ctx.leases["bms"])
    if taps.u_batt is None:
        raise StepInvalid("the BMS reports no pack voltage; the precharge curve cannot be judged")
    await bms.set_relays(ctx.leases["bms"], {Relay.MAIN_MINUS})
    await digitizer.start(ctx.leases["digitizer"])
    await close_precharge(ctx, {Relay.MAIN_MINUS, Relay.PRECHARGE})
    await ctx.dwell(ctx.recipe.quantity("record"))
    recording = await digitizer.finish(ctx.leases["digitizer"])
    ctx.trace("link_voltage", "V", recording.sample_rate_hz, recording.v_link_v)
    return taps.u_batt, fit_precharge(recording.v_link_v, recording.sample_rate_hz)


def _measure_resistance(ctx: StepContext, curve: PrechargeCurve) -> None:
    ohm = curve.tau_s / ctx.recipe.quantity("link_capacitance")
    u95 = ctx.recipe.quantity("u95_resistance") / 100.0 * ohm
    bound = None if curve.resolved else BELOW
    ctx.measure("precharge_resistance", Reading(ohm, "Ohm", u95, bound=bound))


async def _load(ctx: StepContext, pack_v: float) -> None:
    """Close main plus, open precharge, put the load on: the poles must hold."""
    bms = ctx.devices.bms
    await bms.set_relays(ctx.leases["bms"], {Relay.MAIN_MINUS, Relay.PRECHARGE, Relay.MAIN_PLUS})
    await bms.set_relays(ctx.leases["bms"], {Relay.MAIN_MINUS, Relay.MAIN_PLUS})
    await ctx.devices.matrix.connect(ctx.leases["matrix"], {Route.DIGITIZER, Route.LINK_CAPACITOR, Route.LOAD})
    await ctx.dwell(ctx.recipe.quantity("settle"))
    reading = await ctx.devices.digitizer.mean(ctx.leases["digitizer"], ctx.recipe.count("samples"))
    u_pn = reading.v_pos - reading.v_neg
    u95 = ctx.recipe.quantity("u95_ratio")
    ctx.measure("loaded_ratio", Reading(100.0 * u_pn / pack_v, "%", u95))
    cells_v = ctx.facts.pack_voltage_v
    deviation = None if cells_v is None else 100.0 * (cells_v / u_pn - 1.0)
    ctx.measure("sum_deviation", Reading(deviation, "%", ctx.recipe.quantity("u95_sum")))
