"""Obvious twins of balancing: a cell drained second by second, a linear program over every set, and a plan replayed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

F64 = NDArray[np.float64]

HOUR_S = 3600.0


def drained_s(
    soc_points: F64,
    voltage_points_v: F64,
    capacity_ah: float,
    bleed_ohm: float,
    begin: float,
    end: float,
    step_s: float,
) -> float:
    """Time until a cell has been bled from one SOC to another, in steps of constant current."""
    soc, now_s = begin, 0.0
    while soc > end:
        voltage_v = float(np.interp(soc, soc_points, voltage_points_v))
        soc -= voltage_v / bleed_ohm * step_s / (HOUR_S * capacity_ah)
        now_s += step_s
    return now_s


def level_soc(capacity_ah: F64, soc: F64, level: float) -> F64:
    """SOC of each cell after bleeding, by trying: the least that all must lack at the level, found by bisection."""

    def targets(lacking_ah: float) -> F64:
        found: F64 = level - lacking_ah / capacity_ah
        return found

    low, high = 0.0, float(np.max(capacity_ah))
    for _ in range(200):
        middle = (low + high) / 2.0
        if np.all(targets(middle) <= soc):
            high = middle
        else:
            low = middle
    return np.minimum(targets(high), soc)


def feasible_sets(cells: int, at_once: int, apart: bool) -> list[tuple[int, ...]]:
    """Every set of cells of a chip that may bleed together."""
    sets = itertools.chain.from_iterable(itertools.combinations(range(cells), size) for size in range(1, at_once + 1))
    return [each for each in sets if not apart or all(b - a > 1 for a, b in itertools.pairwise(each))]


def shortest_time_by_sets(
    bleed_s: F64, at_once: int, apart: bool, power_w: F64 | None = None, power_max_w: float = np.inf
) -> float:
    """Least time of a chip: a linear program with a duration for every feasible set."""
    sets = feasible_sets(len(bleed_s), min(at_once, len(bleed_s)), apart)
    if power_w is not None:
        sets = [cells for cells in sets if np.sum(power_w[list(cells)]) <= power_max_w]
    part = np.zeros((len(bleed_s), len(sets)))
    for column, cells in enumerate(sets):
        part[list(cells), column] = 1.0
    scale = float(np.max(bleed_s)) or 1.0
    found = linprog(np.ones(len(sets)), A_ub=-part, b_ub=-bleed_s / scale, method="highs")
    assert found.status == 0, found.message
    return float(found.fun) * scale


def replayed(
    slots: Sequence[tuple[float, float, Sequence[int]]], cells: int, chip_of: Sequence[int], at_once: int, apart: bool
) -> F64:
    """How long each cell bleeds in a plan, which must be in order and keep the rules."""
    total_s = np.zeros(cells)
    before_s = 0.0
    for start_s, end_s, together in slots:
        assert start_s == before_s, "slots follow each other"
        assert end_s > start_s, "a slot takes time"
        assert sorted(set(together)) == list(together), "a cell is in a slot once"
        for chip in set(chip_of):
            mine = [cell for cell in together if chip_of[cell] == chip]
            assert len(mine) <= at_once, "no more cells of a chip than allowed"
            assert not apart or all(b - a > 1 for a, b in itertools.pairwise(mine)), "no neighbours of a chip"
        total_s[list(together)] += end_s - start_s
        before_s = end_s
    return total_s
