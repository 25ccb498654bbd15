"""Are the modules, the busbars and the cover bolted down, each bolt to its torque and over its angle?

Busbars are live work: only a person who may do it begins, and before a busbar is loosened the service disconnect is
out and the sense harness off.
"""

from __future__ import annotations

from bmsctl.domain.events import PartInstalled, PartRemoved
from bmsctl.domain.parts import COVER, HARNESS, held_by
from bmsctl.domain.ports import ManualTask
from bmsctl.stations.stacking.context import StepContext, record, slots_of
from bmsctl.stations.stacking.operator import confirm, require_live_work
from bmsctl.stations.stacking.tightening import tighten

SERVICE_DISCONNECT = "service_disconnect"


async def bolts(ctx: StepContext) -> None:
    """Have the modules' bolts tightened in the recipe's order."""
    await tighten(ctx, ctx.recipe.names("bolts"))


async def busbars(ctx: StepContext) -> None:
    """Have each busbar put in place and its bolts tightened, before the next one."""
    await require_live_work(ctx)
    for slot, way in slots_of(ctx.recipe, "busbars"):
        if slot not in ctx.facts.built.parts:
            await confirm(ctx, ManualTask.PLACE, slot, "place", "place_within", way)
            record(ctx, PartInstalled(slot, ctx.recipe.text("busbar_part_number"), None, None))
        own = (bolt for bolt in ctx.recipe.names("bolts") if held_by(bolt) == slot)
        if not await tighten(ctx, own, _open_circuit):
            return


async def _open_circuit(ctx: StepContext) -> None:
    """No circuit through the busbar to be loosened, neither by the service disconnect nor by sense wires.

    Whether the disconnect is in is not on record, so it is asked for each time.
    """
    await confirm(ctx, ManualTask.OPEN, SERVICE_DISCONNECT, "disconnect", "unplug_within")
    if HARNESS in ctx.facts.built.parts:
        await confirm(ctx, ManualTask.REMOVE, HARNESS, "unplug", "unplug_within")
        serial = ctx.facts.built.parts[HARNESS].installed.serial
        record(ctx, PartRemoved(HARNESS, serial, "off before a busbar is loosened"))


async def cover_bolts(ctx: StepContext) -> None:
    """Have the cover laid on and its bolts tightened in the recipe's order."""
    if COVER not in ctx.facts.built.parts:
        await confirm(ctx, ManualTask.PLACE, COVER, "place", "place_within")
        record(ctx, PartInstalled(COVER, ctx.recipe.text("cover_part_number"), None, None))
    await tighten(ctx, ctx.recipe.names("bolts"))
