"""Are all temperature sensors there, and do they agree with each other and with the air?"""

from __future__ import annotations

import numpy as np

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import F64
from bmsctl.domain.units import Second
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.dtcs import measure_own_dtcs

PERSISTENT_READINGS = 10
"""A sensor without a value in so many readings is open; in fewer, a frame was lost."""


async def temperatures(ctx: StepContext) -> None:
    """Measure how far the worst sensor is from the sensors' median and from the air, and count those without value."""
    celsius = await _sensors(ctx)
    ctx.trace("temperatures", "degC", None, celsius)
    silent = np.flatnonzero(np.isnan(celsius)) + 1
    if len(silent) == len(celsius):
        raise StepInvalid("the BMS reports no temperature at all; check its supply and start-up")
    ctx.measure("open_sensors", Reading(float(len(silent)), None, detail="sensors " + ", ".join(map(str, silent))))
    median_c, air_c = float(np.nanmedian(celsius)), await _air_c(ctx)
    for name, reference_c in (("median", median_c), ("air", air_c)):
        distance_k = np.abs(celsius - reference_c)
        worst = int(np.nanargmax(distance_k))
        detail = f"sensor {worst + 1} at {celsius[worst]:.1f} °C, {name} {reference_c:.1f} °C"
        ctx.measure(
            f"from_{name}", Reading(float(distance_k[worst]), "K", ctx.recipe.quantity(f"u95_{name}"), detail=detail)
        )
    await measure_own_dtcs(ctx)


async def _sensors(ctx: StepContext) -> F64:
    """(n,) temperatures in °C, NaN for a sensor that never had a value; looks again only while one has none."""
    celsius = await _read(ctx)
    for _ in range(PERSISTENT_READINGS - 1):
        missing = np.isnan(celsius)
        if missing.all() or not missing.any():
            break
        celsius = np.where(np.isnan(celsius), await _read(ctx), celsius)
    return celsius


async def _read(ctx: StepContext) -> F64:
    values = await ctx.devices.bms.temperatures(ctx.leases["bms"])
    return np.array([np.nan if value is None else value for value in values])


async def _air_c(ctx: StepContext) -> float:
    within = Second(ctx.recipe.quantity("sense_within"))
    ctx.leases["plc"].quiet_for(within)
    return (await ctx.devices.plc.sense(within)).air
