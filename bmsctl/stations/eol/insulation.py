"""How well is the live pack insulated from its housing, and does its own insulation monitor know?

The cells are the source: two voltmeters and one known resistor at either pole in turn. Nothing else is routed, for
every source brings Y capacitors of its own, and the pack's monitor is off while the station measures. Then a known
resistor is put in, because a good pack is beyond the monitor's range.
"""

from __future__ import annotations

import math

from bmsctl.analysis.insulation import Insulation, Poles, two_meter_insulation
from bmsctl.domain.limits import ABOVE, BELOW, Reading
from bmsctl.domain.ports import Recording, Resistor, Route
from bmsctl.domain.units import Second
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.closing import closed_contactors, connect_cold
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.dtcs import measure_own_dtcs
from bmsctl.stations.undo import undone

EDGE_S = 0.005
"""After a confirmed change: contact bounce, and the front end's low pass."""
TRACE_EVERY = 20


async def insulation_live(ctx: StepContext) -> None:
    """Measure both poles to chassis with contactors closed, and compare the BMS's insulation monitor.

    INVALID if the poles do not settle, or the resistor shows no effect: an undecided measurement never passes.
    """
    await connect_cold(ctx, {Route.DIGITIZER})
    async with undone(lambda: _restore(ctx)):
        await ctx.devices.bms.imd_enable(ctx.leases["bms"], False)
        await _measure(ctx)


async def _measure(ctx: StepContext) -> None:
    """The measurements, contactors closed."""
    async with closed_contactors(ctx):
        insulation = await _insulation(ctx)
        _measure_insulation(ctx, insulation)
        await _measure_monitor(ctx, insulation)
        await measure_own_dtcs(ctx)


async def _restore(ctx: StepContext) -> None:
    ctx.devices.digitizer.stop()
    await ctx.devices.bms.imd_enable(ctx.leases["bms"], True)


async def _insulation(ctx: StepContext) -> Insulation:
    """Record the poles free, with the resistor at minus, at plus."""
    digitizer, lease = ctx.devices.digitizer, ctx.leases["digitizer"]
    await digitizer.start(lease)
    begun_s = ctx.now()
    spans: list[tuple[float, float]] = []
    await ctx.dwell(ctx.recipe.quantity("record_free"))
    for resistor, record in ((Resistor.R0_MINUS, "record_minus"), (Resistor.R0_PLUS, "record_plus")):
        spans.append((begun_s, ctx.now()))
        begun_s = await digitizer.insert(lease, resistor)
        await ctx.dwell(ctx.recipe.quantity(record))
    spans.append((begun_s, ctx.now()))
    recording = await digitizer.finish(lease)
    _trace(ctx, recording, spans)
    free, at_minus, at_plus = (_part(recording, *span) for span in spans)
    insulation = two_meter_insulation(
        free,
        at_minus,
        at_plus,
        recording.sample_rate_hz,
        test_ohm=ctx.recipe.quantity("test_resistor"),
        meter_ohm=ctx.recipe.quantity("meter_resistance"),
    )
    if insulation.undecided:
        raise StepInvalid(f"insulation undecided: {insulation.undecided}")
    return insulation


def _part(recording: Recording, from_s: float, to_s: float) -> Poles:
    """What was recorded between two loop times, without the edge at its beginning."""
    first = max(0, math.ceil((from_s + EDGE_S - recording.t0_s) * recording.sample_rate_hz))
    last = math.floor((to_s - recording.t0_s) * recording.sample_rate_hz)
    return Poles(recording.v_pos_v[first:last], recording.v_neg_v[first:last])


def _trace(ctx: StepContext, recording: Recording, spans: list[tuple[float, float]]) -> None:
    rate_hz = recording.sample_rate_hz / TRACE_EVERY
    ctx.trace("v_pos", "V", rate_hz, recording.v_pos_v[::TRACE_EVERY])
    ctx.trace("v_neg", "V", rate_hz, recording.v_neg_v[::TRACE_EVERY])
    minus_s, plus_s = (begun_s - recording.t0_s for begun_s, _ in spans[1:])
    ctx.note("test_resistor", f"at minus from {minus_s:.3f} s of the trace, at plus from {plus_s:.3f} s")


def _measure_insulation(ctx: StepContext, insulation: Insulation) -> None:
    """The smaller side and both in parallel first: what is doubtful about a good side spoils no FAIL of the other."""
    plus_s, minus_s = insulation.plus_s, insulation.minus_s
    meter_ohm = ctx.recipe.quantity("meter_resistance")
    u95 = ctx.recipe.quantity("u95_capacitance") / 100.0
    ctx.measure("insulation_resistance", _resistance(ctx, max(plus_s, minus_s), meter_ohm))
    ctx.measure("insulation_parallel", _resistance(ctx, plus_s + minus_s, meter_ohm / 2.0))
    farad, bound = insulation.y_farad, None if insulation.y_resolved else BELOW
    ctx.measure("y_capacitance", Reading(farad, "F", u95 * farad, bound=bound))
    joule = 0.5 * farad * ctx.pack.u_max**2
    ctx.measure("y_energy", Reading(joule, "J", u95 * joule, bound=bound))
    ctx.measure("insulation_plus", _resistance(ctx, plus_s, meter_ohm))
    ctx.measure("insulation_minus", _resistance(ctx, minus_s, meter_ohm))


def _resistance(ctx: StepContext, siemens: float, meter_ohm: float) -> Reading:
    """The resistance of a conductance measured beside a voltmeter's; a bound where that is all that can be told.

    Raises:
        StepInvalid: negative by more than its uncertainty: resistor or voltmeter are not what the recipe says.
    """
    share, meter = ctx.recipe.quantity("u95_share") / 100.0, ctx.recipe.quantity("u95_meter") / 100.0
    unsure_s = meter / meter_ohm
    if siemens < -2.0 * unsure_s:
        raise StepInvalid(f"insulation undecided: {siemens:.3g} S to chassis; check test resistor and digitizer inputs")
    if siemens < unsure_s:
        return Reading(1.0 / (2.0 * unsure_s), "Ohm", bound=ABOVE)
    ohm = 1.0 / siemens
    return Reading(ohm, "Ohm", ohm * (share + meter * ohm / meter_ohm))


async def _measure_monitor(ctx: StepContext, insulation: Insulation) -> None:
    """Compare the monitor with all it then sees: both sides, both voltmeters, and the known resistor."""
    digitizer, bms, lease = ctx.devices.digitizer, ctx.devices.bms, ctx.leases["bms"]
    await digitizer.insert(ctx.leases["digitizer"], Resistor.REFERENCE)
    await bms.imd_enable(lease, True)
    monitor_ohm = await bms.imd(lease, Second(ctx.recipe.quantity("imd_within")))
    await digitizer.insert(ctx.leases["digitizer"], None)
    known_s = 2.0 / ctx.recipe.quantity("meter_resistance") + 1.0 / ctx.recipe.quantity("reference_resistor")
    expected_ohm = 1.0 / (insulation.plus_s + insulation.minus_s + known_s)
    ratio = 100.0 * (monitor_ohm / expected_ohm - 1.0)
    text = f"monitor {monitor_ohm / 1e3:.1f} kOhm, station {expected_ohm / 1e3:.1f} kOhm"
    ctx.measure("imd_ratio", Reading(ratio, "%", ctx.recipe.quantity("u95_imd"), detail=text))
