"""How many packs there can be at most, proven by prices.

Give each module a price, 0 or more, so that the modules of every possible pack cost 1 or more together. Packs share
no module, so there are no more of them than all prices sum to. This is the dual of a linear program: whatever the
prices are, they prove a bound, and the best prices prove the linear program's.

Every pack lies in a rectangle that begins at the capacity and the resistance of two of its modules, with its other
sides a window away (see `windows`). So it is enough that in each such rectangle the `group` cheapest modules cost 1 or
more; and a rectangle whose modules are all in another one need not be looked at.
"""

from __future__ import annotations

import math

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.matching.modules import F64, I64

ROUNDING = 1e-9
SWEEPS, DISCOUNT = 300, 0.05
"""Enough to come within 1 % of the linear program; the share of 1/`group` by which the first sweep lowers prices."""
ENTRIES_MAX, LOOKS_MAX, VISITS_MAX = 1_000_000, 100_000_000, 10_000_000
"""Modules in rectangles, and looks at modules to find those, beyond which no better prices are searched; modules in
rectangles that all sweeps together visit."""


def most_packs_bound(
    capacity: F64, dcir: F64, companions: I64, group: int, keep: tuple[float, float], found: int
) -> int:
    """A number of packs that no matching exceeds.

    At a price of 1/`group` for each module that has companions enough, that is their number over `group`. If it is not
    `found`, better prices are searched, as long as there are not too many rectangles.

    Args:
        capacity: (n,) above 0, ascending.
        dcir: (n,) above 0, by module, as `companions`, with how many others each can be.
        group: modules of a pack.
        keep: see `windows`.
        found: packs that there are; the search ends when it has proven that there are no more.
    """
    usable = companions >= group - 1
    bound = int(np.count_nonzero(usable)) // group
    if bound <= found or not keep[0] > 0.0:
        return bound
    ends: I64 = np.searchsorted(capacity, capacity / keep[0], "right")
    if float(np.sum((ends - np.arange(len(ends))) ** 2.0)) > LOOKS_MAX:
        return bound
    begins, members = np.zeros(ENTRIES_MAX // group + 2, np.int64), np.empty(ENTRIES_MAX, np.int64)
    count = rectangles(capacity, dcir, group, keep, begins, members)
    if count < 0:
        return bound
    price = np.zeros(len(capacity))
    price[members[: begins[count]]] = 1.0 / group
    sweeps = min(SWEEPS, VISITS_MAX // max(1, int(begins[count])))
    total = lower_prices(begins[: count + 1], members, group, sweeps, DISCOUNT, found + 1.0, price)
    return min(bound, math.floor(total * (1.0 + ROUNDING) + ROUNDING))


@kernel
def rectangles(capacity: F64, dcir: F64, group: int, keep: tuple[float, float], begins: I64, members: I64) -> int:
    """Write the modules of each rectangle with `group` or more, one rectangle after the other, into `members`, and
    where each begins into `begins`; how many rectangles there are, -1 if they do not fit."""
    count, used = 0, 0
    for left in range(len(capacity)):
        end = left
        while end < len(capacity) and capacity[end] * keep[0] <= capacity[left]:
            end += 1
        for bottom in range(left, end if end - left >= group else left):
            base = dcir[bottom]
            if base > dcir[left] or dcir[left] * keep[1] > base:
                continue
            if used + end - left > len(members) or count + 2 > len(begins):
                return -1
            size, last, top = 0, left, base
            for module in range(left, end):
                if base <= dcir[module] and dcir[module] * keep[1] <= base:
                    members[used + size] = module
                    last, top = module, max(top, dcir[module])
                    size += 1
            if size < group or inside_another(capacity, dcir, left, end, last, base, top, keep):
                continue
            used += size
            count += 1
            begins[count] = used
    return count


@kernel
def inside_another(
    capacity: F64,
    dcir: F64,
    left: int,
    end: int,
    last: int,
    base: float,
    top: float,
    keep: tuple[float, float],
) -> bool:
    """Whether a rectangle that begins at a module to the left, or below, has all modules of this one, too."""
    for module in range(left - 1, -1, -1):
        if capacity[last] * keep[0] > capacity[module]:
            break
        if base <= dcir[module] and dcir[module] * keep[1] <= base:
            return True
    below = False
    for module in range(left, end):
        below = below or (dcir[module] < base and top * keep[1] <= dcir[module])
    return below


@kernel
def lower_prices(
    begins: I64, members: I64, group: int, sweeps: int, discount: float, enough: float, price: F64
) -> float:
    """Lower all prices, raise those of the cheapest in each rectangle until they cost 1, and so on; the least that all
    prices summed to, over the least that the cheapest of a rectangle cost, at any time.

    That is a subgradient method with falling steps, one rectangle at a time. It ends when it is below `enough`.
    """
    least, picked = math.inf if len(begins) > 1 else 0.0, np.empty(group, np.int64)
    for sweep in range(sweeps if len(begins) > 1 else 0):
        for at in range(len(begins) - 1):
            cost = cheapest(price, members[begins[at] : begins[at + 1]], picked)
            if cost < 1.0:
                for module in picked:
                    price[module] += (1.0 - cost) / group
        lowest = math.inf
        for at in range(len(begins) - 1):
            lowest = min(lowest, cheapest(price, members[begins[at] : begins[at + 1]], picked))
        total = 0.0
        for one in range(len(price)):
            total += price[one]
        least = min(least, total / lowest)
        if least * (1.0 + ROUNDING) + ROUNDING < enough:
            break
        step = discount / group * (1.0 - sweep / sweeps)
        for one in range(len(price)):
            price[one] = max(0.0, price[one] - step)
    return least


@kernel
def cheapest(price: F64, rectangle: I64, picked: I64) -> float:
    """Write the cheapest modules of a rectangle into `picked` (group,); what they cost together."""
    count, total = 0, 0.0
    for module in rectangle:
        at = count
        if count == len(picked):
            at -= 1
            if price[module] >= price[picked[at]]:
                continue
            total -= price[picked[at]]
        else:
            count += 1
        total += price[module]
        while at > 0 and price[picked[at - 1]] > price[module]:
            picked[at] = picked[at - 1]
            at -= 1
        picked[at] = module
    return total
