"""Is this the tray of the pack type, and a new one? It is judged before it is loaded: its serial becomes the pack's."""

from __future__ import annotations

from functools import partial

from bmsctl.domain.events import PartInstalled
from bmsctl.domain.limits import Reading
from bmsctl.domain.parts import TRAY
from bmsctl.domain.ports import ManualTask
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.stacking.context import StepContext, measure_once, record
from bmsctl.stations.stacking.mes import ask_parts
from bmsctl.stations.stacking.operator import confirm


async def tray(ctx: StepContext) -> None:
    """Judge the label that was scanned; a tray that passes is loaded."""
    label, wanted = ctx.facts.tray, ctx.recipe.text("part_number")
    text = f"tray {label.serial} is {label.part_number}, the recipe says {wanted}"
    if measure_once(ctx, "part_match", Reading(float(label.part_number == wanted), None, detail=text)) is Verdict.PASS:
        pack = await ask_parts(ctx, partial(ctx.devices.parts.pack_of, label.serial))
        known = Reading(float(pack is not None), None, detail=f"tray {label.serial} is known in pack {pack}: hold both")
        if measure_once(ctx, "used", known) is Verdict.PASS and TRAY not in ctx.facts.built.parts:
            await confirm(ctx, ManualTask.LOAD, TRAY, "load", "load_within")
            record(ctx, PartInstalled(TRAY, label.part_number, label.serial, label.lot or None))
