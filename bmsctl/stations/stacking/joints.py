"""Does every joint conduct, is the stack the sum of its modules, and is it insulated from the tray?

A joint is compared with the pack's others, too: one that stands out is loose or dirty even within the limit. All of it
comes before the harness, which would bridge what is measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from bmsctl.domain.limits import Reading
from bmsctl.domain.parts import busbar_of, busbar_slot
from bmsctl.domain.ports import ManualTask
from bmsctl.domain.steps import of_part
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.insulation import insulation
from bmsctl.stations.resistance import reading_of, resistance
from bmsctl.stations.stacking.context import StepContext, measure_once
from bmsctl.stations.stacking.operator import confirm, require_live_work
from bmsctl.stations.stacking.permit import permitted
from bmsctl.stations.stacking.voltages import against_modules, battery


async def joints(ctx: StepContext) -> None:
    """Measure every joint, each against the median of all; if all are right, the stack's voltage and insulation."""
    await require_live_work(ctx)
    for number, joint in enumerate(ctx.recipe.names("joints"), 1):
        if of_part("resistance", joint) not in ctx.measurements:
            ctx.measure(of_part("resistance", joint), await _joint(ctx, joint, busbar_slot(busbar_of(number))))
    _measure_against_median(ctx)
    if any(measurement.verdict is not Verdict.PASS for measurement in ctx.measurements.values()):
        return
    await confirm(ctx, ManualTask.PROBE, "", "poles", "probe_within")
    stack = against_modules(ctx, (await battery(ctx)).voltage, "stack")
    if measure_once(ctx, "stack_voltage", stack) is Verdict.PASS:
        async with permitted(ctx):
            ohm = await insulation(ctx, "test_voltage", "test_time")
        measure_once(ctx, "stack_insulation", ohm)


async def _joint(ctx: StepContext, joint: str, busbar: str) -> Reading:
    await confirm(ctx, ManualTask.PROBE, joint, "probe", "probe_within", busbar)
    measured = await resistance(ctx, ctx.recipe.count("channel"), f"joint {joint}, {busbar}")
    return reading_of(measured, ctx.recipe, busbar)


def _measure_against_median(ctx: StepContext) -> None:
    measured = {joint: ctx.measurements[of_part("resistance", joint)] for joint in ctx.recipe.names("joints")}
    known: Mapping[str, float] = {joint: each.value for joint, each in measured.items() if each.value is not None}
    median_ohm = statistics.median(known.values()) if known else math.nan
    u95 = ctx.recipe.quantity("u95_of_median")
    for joint, ohm in known.items():
        ratio = 100.0 * ohm / median_ohm if median_ohm > 0.0 else math.nan
        text = f"median {median_ohm * 1e6:.1f} uOhm"
        measure_once(ctx, of_part("of_median", joint), Reading(ratio, "%", u95, text, measured[joint].bound))
