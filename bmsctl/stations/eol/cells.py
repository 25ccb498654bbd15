"""Are the cells alike, at rest, and are all sense wires there?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bmsctl.analysis.cells import CellStatistics, cell_statistics
from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import F64
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.dtcs import measure_own_dtcs


async def cells_at_rest(ctx: StepContext) -> None:
    """Measure every cell group at rest; INVALID if the pack has not rested or is not at room temperature.

    Leaves voltages, their sum and the median temperature for steps that judge by them.
    """
    await _rested(ctx)
    ctx.facts.temperature_c = await _temperate(ctx)
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    snapshots = await bms.cells(lease, ctx.recipe.count("snapshots"))
    voltage_v = _mean([shot.voltage_v for shot in snapshots])
    ctx.trace("cells", "V", None, voltage_v)
    cells = cell_statistics(voltage_v)
    if cells.worst == 0:
        raise StepInvalid("the BMS reports no cell voltage at all; check its supply and start-up")
    _measure_cells(ctx, cells)
    taps = await bms.taps(lease)
    deviation = None if taps.u_batt is None else 100.0 * (cells.sum_v / taps.u_batt - 1.0)
    ctx.measure("pack_sum_deviation", Reading(deviation, "%", ctx.recipe.quantity("u95_sum")))
    ctx.facts.cells_at_rest_v, ctx.facts.pack_voltage_v = voltage_v, cells.sum_v
    open_wires = sorted({*await bms.open_wire(lease), *cells.silent})
    ctx.measure("open_wires", Reading(float(len(open_wires)), None, detail="cells " + ", ".join(map(str, open_wires))))
    await measure_own_dtcs(ctx)


def _mean(snapshots: Sequence[F64]) -> F64:
    """(n_series,) mean of the snapshots that have a value; NaN only for a cell that never had one."""
    known = np.isfinite(snapshots).sum(axis=0)
    mean: F64 = np.divide(np.nansum(snapshots, axis=0), known, out=np.full(known.shape, np.nan), where=known > 0)
    return mean


async def _rested(ctx: StepContext) -> None:
    opened_s = ctx.facts.contactors_opened_s
    if opened_s is None:
        raise StepInvalid("unknown since when the contactors are open; step identify did not run")
    remaining_s = opened_s + ctx.recipe.quantity("rest") - ctx.now()
    if remaining_s > 0.0:
        await ctx.dwell(remaining_s)


async def _temperate(ctx: StepContext) -> float:
    """Median of the pack's temperatures, in °C."""
    known = [t for t in await ctx.devices.bms.temperatures(ctx.leases["bms"]) if t is not None]
    if not known:
        raise StepInvalid("the BMS reports no temperature; cell voltages cannot be judged")
    median_c = float(np.median(known))
    low_c, high_c = ctx.recipe.quantity("temperature_low"), ctx.recipe.quantity("temperature_high")
    if not low_c <= median_c <= high_c:
        raise StepInvalid(f"the pack is at {median_c:.1f} °C; let it come to {low_c:g}…{high_c:g} °C and retest")
    return median_c


def _measure_cells(ctx: StepContext, cells: CellStatistics) -> None:
    u95_v = ctx.recipe.quantity("u95_cell")
    worst = f"cell {cells.worst}, median {cells.median_v:.4f} V"
    ctx.measure("cell_min", Reading(cells.min_v, "V", u95_v))
    ctx.measure("cell_max", Reading(cells.max_v, "V", u95_v))
    ctx.measure("cell_deviation", Reading(cells.deviation_v, "V", ctx.recipe.quantity("u95_deviation"), detail=worst))
    ctx.measure("cell_spread", Reading(cells.max_v - cells.min_v, "V", ctx.recipe.quantity("u95_spread"), detail=worst))
