"""The nearest neighbours of each module, of which partners and the bound of the spread are taken."""

from __future__ import annotations

import math

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.matching.modules import F64, I64


def nearest_neighbours(points: F64, count: int) -> tuple[I64, F64]:
    """Places and squared distances, (n, count) each, of the `count` nearest other points of each, nearest first.

    Args:
        points: (n, 2), finite.
        count: 1 to n - 1.
    """
    places, squared = np.empty((len(points), count), np.int64), np.empty((len(points), count))
    nearest(np.ascontiguousarray(points), np.argsort(points[:, 0], kind="stable"), places, squared)
    return places, squared


@kernel
def nearest(points: F64, order: I64, places: I64, squared: F64) -> None:
    """Write `places` and `squared`; `order` (n,) sorts the first column.

    From each point it looks outwards, left and right, until the first column alone is further away than the furthest
    neighbour that counts.
    """
    count = places.shape[1]
    for middle in range(len(order)):
        point, known, left, right = order[middle], 0, middle - 1, middle + 1
        while left >= 0 or right < len(order):
            dx = points[order[right], 0] - points[point, 0] if right < len(order) else math.inf
            other = order[min(right, len(order) - 1)]
            if left >= 0 and points[point, 0] - points[order[left], 0] <= dx:
                dx, other = points[point, 0] - points[order[left], 0], order[left]
                left -= 1
            else:
                right += 1
            if known == count and dx * dx >= squared[point, count - 1]:
                break
            dy = points[other, 1] - points[point, 1]
            distance = dx * dx + dy * dy
            if known == count and distance >= squared[point, count - 1]:
                continue
            at = known if known < count else count - 1
            known = at + 1
            while at > 0 and squared[point, at - 1] > distance:
                squared[point, at], places[point, at] = squared[point, at - 1], places[point, at - 1]
                at -= 1
            squared[point, at], places[point, at] = distance, other
