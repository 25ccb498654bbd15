"""How long each cell of a pack has to bleed, and the shortest time in which all can.

**What is removed.** Cells are level at a SOC x if they reach it together. Charging gives each the same charge, so cell
i must lack as much of Q_i x as the one that lacks most,

    r = max(0, max_j Q_j (x - s_j)),    and is bled by  r - Q_i (x - s_i).

At x = 1 this is top balancing; with x the lowest SOC, or below it, all are bled down to x.

**The shortest time.** With bleed times p, at most K cells of a chip at a time, and no two neighbours of a chip,

    T* = max( max p_i, max (p_i + p_{i+1}), sum p_i / K )

over all chips. No plan can be shorter; `schedule` builds one that is as long.

The functions are plain, so that one pack needs no compiler; `fleet` compiles them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bmsctl.analysis.balancing.ocv import F64, I64, BalancingError, Curve, named

HOUR_S = 3600.0


class Cells(NamedTuple):
    """(cells,) each, in series order: capacity in Ah, SOC as a share, bleed resistor and switch in ohms."""

    capacity_ah: F64
    soc: F64
    bleed_ohm: F64


class Target(NamedTuple):
    """(cells,) SOC after bleeding, and the time to bleed until then."""

    soc: F64
    bleed_s: F64


def bleed_times(
    capacity_ah: F64,
    soc: F64,
    bleed_ohm: F64,
    level_soc: float,
    pieces: F64,
    first_piece: I64,
    steps: int,
    bleed_s: F64,
) -> None:
    """Write the bleed times of one pack into `bleed_s`.

    A value that is no number, not positive or outside the curve makes them all NaN: what the others have to lose
    depends on it. A cell that would have to be bled below the curve's begin is NaN alone.

    Args:
        capacity_ah: (cells,), above 0; in any order, need not be contiguous.
        soc: (cells,) on the curve.
        bleed_ohm: (cells,), above 0.
        level_soc: at which the cells shall be level.
        pieces: of the curve; `first_piece` and `steps` too.
        bleed_s: (cells,) result.
    """
    first_soc, last_soc, buckets = pieces[0, 0], pieces[-1, 0], len(first_piece)
    lacking_ah, unknown = 0.0, 0 if math.isfinite(level_soc) else 1
    for i in range(len(soc)):
        lacking_ah = max(lacking_ah, capacity_ah[i] * (level_soc - soc[i]))
    for i in range(len(soc)):
        known = (first_soc <= soc[i]) & (soc[i] <= last_soc) & (capacity_ah[i] > 0.0) & (capacity_ah[i] < math.inf)
        unknown += 0 if known & (bleed_ohm[i] > 0.0) & (bleed_ohm[i] < math.inf) else 1
    if unknown:
        bleed_s[:] = math.nan
        return
    per_soc, last_bucket = buckets / (last_soc - first_soc), buckets - 1.0
    low, found = np.empty(len(soc)), np.empty((8, len(soc)))
    for i in range(len(soc)):
        low[i] = soc[i] - (lacking_ah - capacity_ah[i] * (level_soc - soc[i])) / capacity_ah[i]
    for i in range(len(soc)):
        for end in range(2):
            at = max(low[i], first_soc) if end else soc[i]
            k = int(min((at - first_soc) * per_soc, last_bucket))
            if steps:
                k = first_piece[k]
                for _ in range(steps):
                    k += 1 if pieces[k + 1, 0] < at else 0
            found[4 * end, i] = at - pieces[k, 0]
            found[4 * end + 1, i] = pieces[k, 1]
            found[4 * end + 2, i] = pieces[k, 2]
            found[4 * end + 3, i] = pieces[k, 3]
    for i in range(len(soc)):
        u = found[3, i] * found[0, i]
        series = 1.0 + u * (-1.0 / 2 + u * (1.0 / 3 + u * (-1.0 / 4 + u * (1.0 / 5 + u * (-1.0 / 6)))))
        whole = found[1, i] + found[0, i] * found[2, i] * series
        u = found[7, i] * found[4, i]
        series = 1.0 + u * (-1.0 / 2 + u * (1.0 / 3 + u * (-1.0 / 4 + u * (1.0 / 5 + u * (-1.0 / 6)))))
        below = found[5, i] + found[4, i] * found[6, i] * series
        time_s = HOUR_S * bleed_ohm[i] * capacity_ah[i] * max(whole - below, 0.0)
        bleed_s[i] = time_s if low[i] >= first_soc else math.nan


def shortest_time(bleed_s: F64, chip_begins: I64, at_once: int, apart: bool) -> float:
    """T* of one pack.

    Args:
        bleed_s: (cells,) in series order, 0 or more.
        chip_begins: (chips + 1,) where each chip's cells begin, and their number at the end.
        at_once: how many cells of a chip may bleed together, 1 or more.
        apart: no two neighbours of a chip may.

    Returns:
        Seconds; NaN if a bleed time is no number, 0 without cells.
    """
    longest_s = 0.0
    for chip in range(len(chip_begins) - 1):
        sum_s, before_s = 0.0, 0.0
        for i in range(chip_begins[chip], chip_begins[chip + 1]):
            if not 0.0 <= bleed_s[i] < math.inf:
                return math.nan
            sum_s += bleed_s[i]
            longest_s = max(longest_s, bleed_s[i] + (before_s if apart else 0.0))
            before_s = bleed_s[i]
        longest_s = max(longest_s, sum_s / at_once)
    return longest_s


def bleed_to_level(curve: Curve, cells: Cells, level_soc: float, names: Sequence[object] | None = None) -> Target:
    """What a pack's cells must lose to be level.

    Args:
        curve: of all cells.
        cells: of the pack; none gives empty results.
        level_soc: at which they shall be level.
        names: what errors call the cells; by default their number from 1.

    Raises:
        BalancingError: a value is missing or impossible, or a cell cannot lose so much; names the cells.
    """
    if not 0.0 <= level_soc <= 1.0:
        raise BalancingError(f"cells cannot be level at SOC {level_soc:g}; give a share from 0 to 1")
    first_soc, last_soc = float(curve.soc[0]), float(curve.soc[-1])
    good = (cells.capacity_ah > 0.0) & (cells.soc >= first_soc) & (cells.soc <= last_soc) & (cells.bleed_ohm > 0.0)
    good &= np.isfinite(np.stack(cells)).all(axis=0)
    if not good.all():
        raise BalancingError(
            f"{named(np.flatnonzero(~good), names)}: capacity and resistor must be above 0, and the SOC within the "
            f"curve's {first_soc:g} to {last_soc:g}"
        )
    bleed_s = np.empty(len(cells.soc))
    bleed_times(*cells, level_soc, curve.pieces, curve.first_piece, curve.steps, bleed_s)
    lacking_ah = cells.capacity_ah * (level_soc - cells.soc)
    removed_ah = np.max(lacking_ah, initial=0.0) - lacking_ah
    beyond = np.flatnonzero(np.isnan(bleed_s))
    if len(beyond):
        most = named(np.argmax(lacking_ah, keepdims=True), names)
        raise BalancingError(
            f"{named(beyond, names)} would have to be bled below SOC {first_soc:g}, where the curve begins, because "
            f"{most} lacks so much: charge {most} by itself first, or give another target"
        )
    return Target(cells.soc - removed_ah / cells.capacity_ah, bleed_s)


def bleed_power(curve: Curve, cells: Cells) -> F64:
    """(cells,) watts that each turns to heat when it begins to bleed, its most; NaN outside the curve."""
    power_w: F64 = curve.voltage_at(cells.soc) ** 2 / cells.bleed_ohm
    return power_w
