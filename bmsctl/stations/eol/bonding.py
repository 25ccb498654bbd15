"""Is every conductive part of the housing bonded to the station's chassis point?"""

from __future__ import annotations

import numpy as np

from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.resistance import reading_of, resistance


async def bonding(ctx: StepContext) -> None:
    """Measure every point of the recipe, the first at multiplexer channel 1, and judge the worst."""
    points = ctx.recipe.names("points")
    readings = [await resistance(ctx, channel, f"bonding point {point}") for channel, point in enumerate(points, 1)]
    ctx.trace("resistances", "Ohm", None, np.array([reading.ohm for reading in readings]))
    worst = max(range(len(points)), key=lambda index: (readings[index].over_range, readings[index].ohm))
    ctx.measure("resistance_max", reading_of(readings[worst], ctx.recipe, f"point {points[worst]}"))
