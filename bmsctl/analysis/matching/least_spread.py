"""All modules into packs, with the least spread.

A k-d split gives packs to start from; pairs of modules are then exchanged. An exchange brings a module to one of its
neighbours, and is made if it makes the squared spread worse by less than a threshold that falls to 0: threshold
accepting, Dueck and Scheuer, J. Comp. Phys. 90 (1990) 161. Modules that no pack takes are a pack that costs nothing,
so which ones are left over is part of the search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.matching.draws import BITS, SEED, draw
from bmsctl.analysis.matching.modules import F64, I64, Matching, checked, spread_of, told, z_scores
from bmsctl.analysis.matching.neighbours import nearest_neighbours

PARTNERS = 16
"""Neighbours to which a module may be brought."""
MOVES, MOVES_PER_MODULE, CHAIN_MIN = 1_000_000, 500, 20_000
"""All moves of small lots; then of each module. A chain is not shorter; the best of several is taken."""
THRESHOLD = 2.0
"""At the start, in mean squared deviations of a module in the split's packs."""
ROUNDING = 1e-12
"""Of a sum of float values; by so much a bound stays on the safe side."""


def match_all(capacity_ah: ArrayLike, dcir_ohm: ArrayLike, group: int) -> Matching:
    """As many packs as n modules can make, n mod `group` modules left over, with little spread.

    The same modules give the same matching, whatever the machine. The spread is not proven to be the least; `bound`
    is proven to be no greater than the least.

    Args:
        capacity_ah: (n,) in any order, contiguous or not.
        dcir_ohm: (n,) likewise.
        group: modules of a pack, 2 to n.

    Raises:
        MatchingError: as `checked`.
    """
    capacity, dcir = checked(capacity_ah, dcir_ohm, group)
    points = z_scores(capacity, dcir)
    count, packs = len(points), len(points) // group
    partners, squared = nearest_neighbours(points, min(count - 1, max(PARTNERS, group - 1)))
    slots = split(points, squared[:, : group - 1], group)
    best, least = slots, spread_of(points, slots[: packs * group].reshape(packs, group))
    threshold = THRESHOLD * 2.0 * group * least**2
    moves = max(CHAIN_MIN, MOVES_PER_MODULE * count)
    for chain in range(max(1, MOVES // moves) if count > group else 0):
        found = slots.copy()
        exchange(points, found, packs, group, partners, moves, threshold, SEED + chain)
        spread = spread_of(points, found[: packs * group].reshape(packs, group))
        if spread < least:
            best, least = found, spread
    return told(best[: packs * group].reshape(packs, group), count, points, spread_bound(squared, group))


def spread_bound(squared: F64, group: int) -> float:
    """A spread below which no matching is.

    The squared deviations of a pack's modules from their mean sum to the squared distances of its pairs over `group`.
    Give each module of a pair half: it then bears 1/(2 group) of the squared distances to its `group` - 1 partners,
    which are not less than those to its nearest neighbours. Whichever modules are left over, the sum over the others
    is not less than that of those with the smallest sums.

    Args:
        squared: (n, `group` - 1 or more) squared distances of each module to its nearest neighbours, ascending.
        group: 2 to n.
    """
    used = len(squared) // group * group
    borne = np.sort(np.sum(squared[:, : group - 1], axis=1))[:used]
    return float(np.sqrt(np.sum(borne) / (2.0 * group) / (2.0 * used))) * (1.0 - ROUNDING)


def split(points: F64, squared: F64, group: int) -> I64:
    """(n,) modules by slot, a pack in each `group` slots, those left over in the last n mod `group`.

    The modules with the furthest neighbours are left over. The others are halved by the column in which they lie
    wider apart, until a pack remains: Bentley, "Multidimensional binary search trees", CACM 18 (1975) 509.
    """
    packs = len(points) // group
    lonely = np.argsort(np.sum(squared, axis=1), kind="stable")
    done: list[I64] = []
    waiting = [np.sort(lonely[: packs * group])]
    while waiting:
        part = waiting.pop()
        if len(part) == group:
            done.append(part)
            continue
        column = points[part, int(np.argmax(np.ptp(points[part], axis=0)))]
        ordered, half = part[np.argsort(column, kind="stable")], len(part) // group // 2 * group
        waiting += [ordered[half:], ordered[:half]]
    return np.concatenate([*done, np.sort(lonely[packs * group :])])


@kernel
def exchange(
    points: F64, slots: I64, packs: int, group: int, partners: I64, moves: int, threshold: float, state: int
) -> None:
    """Exchange modules in `slots`, in place.

    A move draws a module of a pack and one of its `partners` (n, neighbours) of elsewhere, and exchanges the partner
    with another module of the pack. With S the sum of a pack's points, its squared deviations sum to that of its
    squares less S^2/`group`; sums are kept, so a move costs the same whatever the size of a pack.
    """
    place, home, sums, used = np.empty_like(slots), np.empty_like(slots), np.zeros((packs, 2)), packs * group
    for slot in range(len(slots)):
        place[slots[slot]], home[slots[slot]] = slot, slot // group
        if slot < used:
            sums[slot // group, 0] += points[slots[slot], 0]
            sums[slot // group, 1] += points[slots[slot], 1]
    falls = threshold / moves
    for move in range(moves):
        state = draw(state)
        here = (state * used) >> BITS
        pack = home[slots[here]]
        state = draw(state)
        partner = partners[slots[here], ((state & 0xFFFF) * partners.shape[1]) >> 16]
        other = home[partner]
        leaving_slot = pack * group + (((state >> 16) * group) >> 16)
        if other == pack or leaving_slot == here:
            continue
        leaving = slots[leaving_slot]
        dx, dy = points[partner, 0] - points[leaving, 0], points[partner, 1] - points[leaving, 1]
        if other < packs:
            x, y = sums[pack, 0] - sums[other, 0] + dx, sums[pack, 1] - sums[other, 1] + dy
            worse = -2.0 * (dx * x + dy * y)
        else:
            x, y = points[partner, 0] + points[leaving, 0], points[partner, 1] + points[leaving, 1]
            worse = dx * (group * x - 2.0 * sums[pack, 0] - dx) + dy * (group * y - 2.0 * sums[pack, 1] - dy)
        if worse < threshold - move * falls:
            sums[pack, 0] += dx
            sums[pack, 1] += dy
            if other < packs:
                sums[other, 0] -= dx
                sums[other, 1] -= dy
            there = place[partner]
            place[leaving], place[partner], home[leaving], home[partner] = there, leaving_slot, other, pack
            slots[there], slots[leaving_slot] = leaving, partner
