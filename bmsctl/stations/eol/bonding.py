"""Is every conductive part of the housing bonded to the station's chassis point?"""

from __future__ import annotations

import numpy as np

from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.ports import ResistanceReading
from bmsctl.domain.units import Ohm
from bmsctl.errors import ReplyInvalid, StepInvalid
from bmsctl.stations.eol.context import StepContext


async def bonding(ctx: StepContext) -> None:
    """Measure every point of the recipe, the first at multiplexer channel 1, and judge the worst."""
    points = ctx.recipe.names("points")
    readings = [await _measure(ctx, channel, point) for channel, point in enumerate(points, 1)]
    ctx.trace("resistances", "Ohm", None, np.array([reading.ohm for reading in readings]))
    worst = max(range(len(points)), key=lambda index: (readings[index].over_range, readings[index].ohm))
    ohm, over_range = readings[worst].ohm, readings[worst].over_range
    u95 = ctx.recipe.quantity("u95_offset") + ctx.recipe.quantity("u95_share") / 100.0 * ohm
    bound = ABOVE if over_range else None
    ctx.measure("resistance_max", Reading(ohm, "Ohm", u95, detail=f"point {points[worst]}", bound=bound))


async def _measure(ctx: StepContext, channel: int, point: str) -> ResistanceReading:
    range_ohm = Ohm(ctx.recipe.quantity("range"))
    try:
        return await ctx.devices.ohmmeter.measure(ctx.leases["ohmmeter"], channel, range_ohm)
    except ReplyInvalid as error:
        raise StepInvalid(f"bonding point {point}: {error}") from error
