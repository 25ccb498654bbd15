"""Does the BMS see every cell of the stack, through every wire, by the right chip?"""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from bmsctl.domain.events import PartInstalled
from bmsctl.domain.limits import Reading
from bmsctl.domain.parts import BMS, HARNESS
from bmsctl.domain.ports import ManualTask
from bmsctl.domain.units import Second
from bmsctl.stations.stacking.context import StepContext, measure_once, record, slots_of
from bmsctl.stations.stacking.operator import confirm, require_live_work
from bmsctl.stations.stacking.power import powered
from bmsctl.stations.stacking.voltages import against_modules


async def harness(ctx: StepContext) -> None:
    """Have the harness plugged; measure chips, open wires, bad frames, and the sum of the cells against the modules."""
    await require_live_work(ctx)
    if not {HARNESS, BMS} <= ctx.facts.built.parts.keys():
        await confirm(ctx, ManualTask.CONNECT, HARNESS, "connect", "connect_within")
    if HARNESS not in ctx.facts.built.parts:
        record(ctx, PartInstalled(HARNESS, ctx.recipe.text("part_number"), None, None))
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    async with powered(ctx):
        if BMS not in ctx.facts.built.parts:
            serial = (await bms.identity(lease)).ecu_serial
            record(ctx, PartInstalled(BMS, ctx.recipe.text("bms_part_number"), serial, None))
        await _measure_chips(ctx)
        await bms.ready(lease, Second(ctx.recipe.quantity("ready_within")))
        open_wires = await bms.open_wire(lease)
        cells = "cells " + ", ".join(map(str, open_wires))
        measure_once(ctx, "open_wires", Reading(float(len(open_wires)), None, detail=cells))
        errors = await bms.frame_errors(lease, Second(ctx.recipe.quantity("observe")))
        measure_once(ctx, "frame_errors", Reading(float(errors), None))
        measure_once(ctx, "stack_voltage", await _stack_voltage(ctx))


async def _measure_chips(ctx: StepContext) -> None:
    """Places in the daisy chain where a chip answers that the recipe does not name, or that has answered before."""
    found = await ctx.devices.bms.chips(ctx.leases["bms"])
    wrong: list[str] = []
    seen: set[str] = set()
    for wanted, chip in zip_longest(slots_of(ctx.recipe, "chips"), found):
        name, text = wanted if wanted is not None else ("one more chip", "none")
        serial, cells = chip if chip is not None else ("", 0)
        if f"{cells} cells" != text or serial in seen:
            wrong.append(f"{name}: {serial or 'none'} with {cells} cells instead of {text}")
        seen.add(serial)
    measure_once(ctx, "chips_wrong", Reading(float(len(wrong)), None, detail="; ".join(wrong)))


async def _stack_voltage(ctx: StepContext) -> Reading:
    """Sum of the cells, by the BMS, against that of the modules."""
    snapshots = await ctx.devices.bms.cells(ctx.leases["bms"], ctx.recipe.count("snapshots"))
    cells_v = np.mean([shot.voltage_v for shot in snapshots], axis=0)
    ctx.trace("cells", "V", None, cells_v)
    return against_modules(ctx, float(cells_v.sum()), "BMS")
