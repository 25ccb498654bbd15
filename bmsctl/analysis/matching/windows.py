"""Windows: how far the modules of a pack may differ, and which modules can be together at all.

A window is the greatest range over median of a pack. The median is not above the highest value, so whatever the pack,
its lowest value is not below (1 - window) of its highest: `keep` is that share, a little lowered for rounding. If the
range is not above the window's share of the lowest value, the pack keeps the window whatever its median.

Kernels take modules sorted by capacity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.matching.modules import F64, I64, MatchingError

ROUNDING = 1e-9


class Windows(NamedTuple):
    """Greatest range over median in a pack, of each value; infinite: none."""

    capacity: float
    dcir: float

    def keep(self) -> tuple[float, float]:
        """The least share of a pack's highest value that its lowest is."""
        low, high = (1.0 - window * (1.0 + ROUNDING) - ROUNDING for window in self)
        return low, high

    def require_possible(self) -> None:
        """Raise MatchingError unless both are 0 or more."""
        for window in self:
            if not window >= 0.0:
                raise MatchingError(f"a window of {window:g} is none; give a share of 0 or more, 0.01 for 1 %")


@kernel
def fits(values: F64, window: float) -> bool:
    """Whether the values of a pack, one or more, keep a window."""
    ordered = np.sort(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0
    return bool((ordered[-1] - ordered[0]) / median <= window)


@kernel
def beside(values: F64, one: int, other: int, keep: float) -> bool:
    """Whether two modules can be in a pack by one value."""
    return bool(max(values[one], values[other]) * keep <= min(values[one], values[other]))


@kernel
def count_companions(capacity: F64, dcir: F64, keep: tuple[float, float], companions: I64) -> None:
    """Write with how many other modules each can be in a pack, (n,)."""
    companions[:] = 0
    for one in range(len(capacity)):
        for other in range(one + 1, len(capacity)):
            if capacity[other] * keep[0] > capacity[one]:
                break
            if beside(dcir, one, other, keep[1]):
                companions[one] += 1
                companions[other] += 1
