"""A preemptive plan of one chip that takes exactly the shortest time T*.

Time is counted in whole ticks. What is left to bleed, `left`, and the time that remains always obey

    left_i <= remaining,    left_i + left_{i+1} <= remaining,    sum left <= K remaining,

and a set of cells bleeds until a cell is empty or one of these becomes an equation. Where one is, the set must keep
it: the cell bleeds, one cell of the pair bleeds, K cells bleed. Among the sets that do, dynamic programming takes the
one with most left to bleed. There always is one: the rows of these constraints have consecutive ones, so the matrix
is totally unimodular and every whole-numbered `left` within them is a sum of `remaining` feasible sets (Baum and
Trotter, "Integer rounding and polyhedral decomposition for totally unimodular systems", 1978).

The function is plain, so that one pack needs no compiler; `fleet` compiles it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.balancing.ocv import I64

Flags = NDArray[np.bool_]


def events_max(cells: int, at_once: int) -> int:
    """How many times the set can change: each cell empties and tightens, each pair, and what rounding leaves of K."""
    return 3 * cells + min(at_once, cells) + 1


def chip_schedule(ticks: I64, at_once: int, apart: bool, ends: I64, bleeding: Flags) -> int:
    """Write the plan of one chip: until which tick which cells bleed.

    Args:
        ticks: (cells,) whole ticks to bleed, 0 or more; their sum times `at_once` within 63 bits.
        at_once: how many may bleed together, 1 or more.
        apart: no two neighbours may.
        ends: (events_max,) result: the tick at which each event ends.
        bleeding: (events_max, cells) result: which cells bleed in it, False beforehand.

    Returns:
        How many events there are; the last ends at T*.
    """
    cells, remaining, total = len(ticks), 0, 0
    left, came = ticks.copy(), np.empty((len(ticks), 2, min(at_once, len(ticks)) + 1), np.bool_)
    for i in range(cells):
        remaining = max(remaining, left[i] + (left[i - 1] if apart and i else 0))
        total += left[i]
    limited = at_once < ((cells + 1) // 2 if apart else cells)
    step, most = (1, at_once) if limited else (0, 0)
    best, ahead = np.empty((2, most + 1), np.int64), np.empty((2, most + 1), np.int64)
    remaining = max(remaining, -(-total // at_once))
    elapsed, event = 0, 0
    while remaining > 0:
        best[:] = -1
        best[0, 0] = 0
        for i in range(cells):
            pair_tight = apart and i > 0 and left[i - 1] + left[i] == remaining
            for k in range(most + 1):
                off = -1 if pair_tight else best[0, k]
                came[i, 0, k] = best[1, k] > off
                ahead[0, k] = -1 if left[i] == remaining else max(off, best[1, k])
                on = -1 if apart or k < step else best[1, k - step]
                off = best[0, k - step] if k >= step else -1
                came[i, 1, k] = on > off
                ahead[1, k] = max(on, off) + left[i] if left[i] > 0 and max(on, off) >= 0 else -1
            best, ahead = ahead, best
        slack = at_once * remaining - total
        state, k = 0, max(0, at_once - slack) if limited else 0
        for size in range(k, most + 1):
            for last in range(2):
                if best[last, size] > best[state, k]:
                    state, k = last, size
        length, size = remaining, 0
        for i in range(cells - 1, -1, -1):
            bleeding[event, i] = state == 1
            length = min(length, left[i] if state == 1 else remaining - left[i])
            size += state
            came_on = came[i, state, k]
            if apart and i > 0 and state == 0 and not came_on:
                length = min(length, remaining - left[i - 1] - left[i])
            k, state = k - step * state, 1 if came_on else 0
        if limited and size < at_once:
            length = min(length, slack // (at_once - size))
        for i in range(cells):
            left[i] -= length if bleeding[event, i] else 0
        total, remaining, elapsed = total - size * length, remaining - length, elapsed + length
        ends[event] = elapsed
        event += 1
    return event
