"""One pack around one module, out of candidates.

Every pack lies in a rectangle that begins at one candidate's capacity and one candidate's resistance. In each such
rectangle around the module those that are hardest to place go with it; the rectangle that takes the hardest wins.
"""

from __future__ import annotations

import math

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.matching.modules import F64, I64
from bmsctl.analysis.matching.windows import beside, fits


@kernel
def companions_of(capacity: F64, dcir: F64, pack: I64, one: int, keep: tuple[float, float], found: I64) -> int:
    """Write the modules without pack that can be with `one`, itself included, ascending; how many."""
    low, high, count = one, one, 0
    while low > 0 and capacity[one] * keep[0] <= capacity[low - 1]:
        low -= 1
    while high < len(capacity) - 1 and capacity[high + 1] * keep[0] <= capacity[one]:
        high += 1
    for other in range(low, high + 1):
        if other == one or (pack[other] < 0 and beside(dcir, one, other, keep[1])):
            found[count] = other
            count += 1
    return count


@kernel
def nearest_of(
    capacity: F64, dcir: F64, found: I64, count: int, one: int, scale: tuple[float, float], most: int
) -> int:
    """Keep of `found` the `most` nearest to `one`, differences in each value weighed by `scale`; how many."""
    if count <= most:
        return count
    distance = np.empty(count)
    for at in range(count):
        other = found[at]
        dx, dy = abs(capacity[other] - capacity[one]), abs(dcir[other] - dcir[one])
        distance[at] = max(dx * scale[0], dy * scale[1])
    limit, kept = np.sort(distance)[most - 1], 0
    for at in range(count):
        if found[at] == one or (distance[at] <= limit and kept < most):
            found[kept] = found[at]
            kept += 1
    return kept


@kernel
def choose_pack(
    capacity: F64,
    dcir: F64,
    ease: F64,
    candidates: I64,
    one: int,
    windows: tuple[float, float],
    keep: tuple[float, float],
    chosen: I64,
) -> bool:
    """Write a pack with module `one` into `chosen` (group,); whether there is one.

    Args:
        ease: (n,) how easily a module is placed; the pack takes those with the least.
        candidates: places, ascending, `one` among them.
    """
    group, least, picked = len(chosen), math.inf, np.empty_like(chosen)
    for begin in range(len(candidates)):
        lowest = capacity[candidates[begin]]
        if lowest > capacity[one]:
            break
        if capacity[one] * keep[0] > lowest:
            continue
        end = begin
        while end < len(candidates) and capacity[candidates[end]] * keep[0] <= lowest:
            end += 1
        if end - begin < group:
            continue
        column = candidates[begin:end]
        for at in range(len(column)):
            base = dcir[column[at]]
            if base > dcir[one] or dcir[one] * keep[1] > base:
                continue
            for narrow in range(2):
                if narrow:
                    top, right = base * (1.0 + windows[1]), lowest * (1.0 + windows[0])
                    if capacity[one] > right or dcir[one] > top:
                        break
                else:
                    top, right = base / keep[1] if keep[1] > 0.0 else math.inf, math.inf
                total = hardest(capacity, dcir, ease, column, one, base, top, right, picked)
                if total >= least:
                    break
                if fits(capacity[picked], windows[0]) and fits(dcir[picked], windows[1]):
                    least = total
                    chosen[:] = picked
                    break
    return least < math.inf


@kernel
def hardest(
    capacity: F64,
    dcir: F64,
    ease: F64,
    column: I64,
    one: int,
    base: float,
    top: float,
    right: float,
    picked: I64,
) -> float:
    """Write `one` and the others of a column with the least ease, of those from `base` to `top` and not beyond `right`;
    the sum of their ease, infinite if they are too few."""
    picked[0], count, total = one, 1, 0.0
    for other in column:
        if other == one or not base <= dcir[other] <= top or capacity[other] > right:
            continue
        at = count
        if count == len(picked):
            at -= 1
            if ease[other] >= ease[picked[at]]:
                continue
            total -= ease[picked[at]]
        else:
            count += 1
        total += ease[other]
        while at > 1 and ease[picked[at - 1]] > ease[other]:
            picked[at] = picked[at - 1]
            at -= 1
        picked[at] = other
    return total if count == len(picked) else math.inf
