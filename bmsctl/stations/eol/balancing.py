"""Does every balancing switch bleed its cell, and only that?

The BMS's own feedback echoes the command, so the cell voltages are the witness. Groups bleed in turn, such that no
neighbour of a bleeding cell bleeds; each is compared with the idle pack before and after it, which cancels a drift.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from bmsctl.analysis.balancing_channels import channel_signatures
from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import F64
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.undo import undone

GROUPS_MIN = 2
_NOBODY: Set[int] = frozenset()


async def balancing_channels(ctx: StepContext) -> None:
    """Measure by how much each cell falls when it bleeds, and by how much its neighbours rise."""
    groups = ctx.recipe.count("groups")
    if groups < GROUPS_MIN:
        raise StepInvalid(f"{groups} group of channels: neighbours would bleed together; the recipe needs more")
    falls: list[F64] = []
    async with undone(lambda: ctx.devices.bms.balance(ctx.leases["bms"], _NOBODY)):
        before_v = await _bleeding(ctx, _NOBODY)
        for group in range(groups):
            bleeding_v = await _bleeding(ctx, frozenset(range(group + 1, ctx.pack.series + 1, groups)))
            after_v = await _bleeding(ctx, _NOBODY)
            falls.append((before_v + after_v) / 2.0 - bleeding_v)
            before_v = after_v
    _measure(ctx, np.array(falls))


async def _bleeding(ctx: StepContext, cells: Set[int]) -> F64:
    """(series,) mean voltages while exactly these cells bleed."""
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    await bms.balance(lease, cells)
    await ctx.dwell(ctx.recipe.quantity("settle"))
    snapshots = await bms.cells(lease, ctx.recipe.count("snapshots"))
    voltage_v: F64 = np.mean([shot.voltage_v for shot in snapshots], axis=0)
    return voltage_v


def _measure(ctx: StepContext, fall_v: F64) -> None:
    """`fall_v`: (groups, series). A channel without value is the worst, and not a number."""
    signatures = channel_signatures(fall_v, ctx.recipe.count("channels_per_chip"))
    ctx.trace("fall", "V", None, signatures.fall_v)
    ctx.trace("neighbour_rise", "V", None, signatures.neighbour_rise_v)
    for name, volts, cell in (
        ("signature_min", signatures.fall_v, np.argmin(signatures.fall_v)),
        ("signature_max", signatures.fall_v, np.argmax(signatures.fall_v)),
        ("neighbour_min", signatures.neighbour_rise_v, np.argmin(signatures.neighbour_rise_v)),
    ):
        u95_v = ctx.recipe.quantity("u95_signature")
        ctx.measure(name, Reading(float(volts[cell]), "V", u95_v, detail=f"channel of cell {cell + 1}"))
