"""Does a cell lose charge by itself? Its rest voltage now against the one measured when its module came in."""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.self_discharge import HOUR_S, relative_self_discharge
from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import F64, IncomingModule
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext

DAY_S = 86400.0


async def self_discharge(ctx: StepContext) -> None:
    """Judge the fastest cell's loss of voltage against the pack's median.

    INVALID without incoming data of every cell, or if they are younger than the recipe's age: then a bad cell cannot
    be told yet. Cells without value were judged at rest; here they are only named.
    """
    now_v = ctx.facts.cells_at_rest_v
    if now_v is None:
        raise StepInvalid("no rest voltages; step cells_at_rest did not run")
    modules = _complete(ctx)
    age_s, wanted_s = min(module.age for module in modules), ctx.recipe.quantity("age_min")
    if not age_s >= wanted_s:
        raise StepInvalid(
            f"the youngest incoming data are {age_s / DAY_S:.1f} d old; retest when they are {wanted_s / DAY_S:g} d old"
        )
    before_v: F64 = np.array([volts for module in modules for volts in module.cell_voltage_v])
    each_age_s: F64 = np.repeat([float(module.age) for module in modules], ctx.pack.series // ctx.pack.modules)
    found = relative_self_discharge(before_v, now_v, each_age_s)
    if not found.worst:
        raise StepInvalid("no cell has a rest voltage both from its incoming inspection and now")
    ctx.trace("relative_rate", "V/h", None, found.rate_v_per_h)
    if found.silent:
        ctx.note("self_discharge", "without value: cells " + ", ".join(map(str, found.silent)))
    rate = float(found.rate_v_per_h[found.worst - 1])
    u95 = HOUR_S * ctx.recipe.quantity("u95_voltage") / age_s
    ctx.measure("rate_max", Reading(rate, "V/h", u95, detail=f"cell {found.worst}"))


def _complete(ctx: StepContext) -> list[IncomingModule]:
    """The incoming modules from the negative pole on, one in every slot and a voltage for each of its cells."""
    modules = sorted(ctx.facts.modules, key=lambda module: module.slot)
    slots = [module.slot for module in modules]
    if slots != list(range(1, ctx.pack.modules + 1)):
        missing = ", ".join(str(slot) for slot in slots) or "none"
        raise StepInvalid(f"incoming data of slots {missing} instead of 1 to {ctx.pack.modules}; ask the genealogy")
    cells = ctx.pack.series // ctx.pack.modules
    for module in modules:
        if len(module.cell_voltage_v) != cells:
            found = len(module.cell_voltage_v)
            raise StepInvalid(f"{found} incoming voltages of module {module.serial}, which has {cells} cells")
    return modules
