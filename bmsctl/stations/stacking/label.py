"""The pack's label: printed once, put on, and read back.

Two labels of one pack would be a clone of it. So printing is an action that is on record before it is commanded, and
when nobody knows whether it was done, the person is asked to destroy what is left over.
"""

from __future__ import annotations

from bmsctl.domain.events import ActionDone, ActionIntended, ActionUnknown
from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import ManualTask
from bmsctl.stations.stacking.context import StepContext, measure_once, record
from bmsctl.stations.stacking.operator import confirm, scan

PRINTING = "label #1"
LEFT_OVER = "destroy every other label of this pack"


async def label(ctx: StepContext) -> None:
    """Print the label unless it is, have it put on, and compare what can be read on the pack."""
    if "label_match" in ctx.measurements:
        return
    serial, part_number = ctx.facts.serial, ctx.recipe.text("part_number")
    detail = ""
    if PRINTING not in ctx.facts.built.done:
        detail = await _print(ctx, serial, part_number)
    await confirm(ctx, ManualTask.APPLY, "", "apply", "apply_within", detail)
    read = await scan(ctx, ManualTask.APPLY, "", "apply", "scan_within")
    right = (read.part_number, read.serial) == (part_number, serial)
    text = f"it says {read.part_number};{read.serial}, the pack is {part_number};{serial}"
    measure_once(ctx, "label_match", Reading(float(right), None, detail=text))


async def _print(ctx: StepContext, serial: str, part_number: str) -> str:
    """Print the label; what the person has to know about it."""
    pending, detail = ctx.facts.built.pending, ""
    if pending is not None and pending.action_id == PRINTING:
        record(ctx, ActionUnknown(PRINTING, f"the station's program ended while it was printed; {LEFT_OVER}"))
        detail = LEFT_OVER
    record(ctx, ActionIntended(PRINTING, "label_printer", f"print the label of {serial}"))
    await ctx.log.commit()
    lines = (f"{ctx.pack.id} {ctx.pack.u_nom:.0f} V",)
    await ctx.devices.label_printer.print(ctx.leases["label_printer"], serial, part_number, lines)
    record(ctx, ActionDone(PRINTING, f"label of {serial}"))
    await ctx.log.commit()
    return detail
