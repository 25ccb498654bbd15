"""Is the interlock loop whole, and does every connector open it?"""

from __future__ import annotations

from bmsctl.domain.limits import Reading, judge
from bmsctl.domain.ports import ManualTask
from bmsctl.domain.steps import of_part
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StepInvalid
from bmsctl.stations.resistance import reading_of, resistance
from bmsctl.stations.stacking.context import StepContext, measure_once
from bmsctl.stations.stacking.operator import confirm

LOOP = "loop_resistance"


async def hvil_loop(ctx: StepContext) -> None:
    """Measure the loop with every connector plugged, then with each one open; a loop that is open is not opened more.

    INVALID if the loop is not closed again afterwards.
    """
    connectors = ctx.recipe.names("connectors")
    for connector in connectors:
        await confirm(ctx, ManualTask.CLOSE, connector, "close", "act_within")
    if measure_once(ctx, LOOP, await _loop(ctx)) is not Verdict.PASS:
        return
    for connector in connectors:
        name = of_part("opened", connector)
        if name in ctx.measurements:
            continue
        await confirm(ctx, ManualTask.OPEN, connector, "open", "act_within")
        ctx.measure(name, await _loop(ctx))
        await confirm(ctx, ManualTask.CLOSE, connector, "close", "act_within")
        again = judge(LOOP, await _loop(ctx), ctx.recipe.limits[LOOP])
        if again.verdict is not Verdict.PASS:
            raise StepInvalid(f"the loop is not closed again after {connector}: {again.reason}; plug it, start again")


async def _loop(ctx: StepContext) -> Reading:
    return reading_of(await resistance(ctx, ctx.recipe.count("channel"), "interlock loop"), ctx.recipe)
