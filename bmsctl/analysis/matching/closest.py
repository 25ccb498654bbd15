"""The modules out of a buffer whose values lie closest together, with a certain one among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bmsctl.analysis.matching.modules import I64, MatchingError


def closest_set(lowest: ArrayLike, highest: ArrayLike, one: int, count: int) -> tuple[I64, float]:
    """Places of `count` modules, `one` among them, and the range of all their values, which is the least there is.

    Whatever the set, its lowest value is that of one of its modules. So for each such value, of the modules that do not
    go below it those with the least highest values are taken; of equally good ones the earlier.

    Args:
        lowest: (n,) lowest value of each module, in any order.
        highest: (n,) its highest value.
        one: place of the module that must be in the set.
        count: 1 to n.

    Returns:
        (count,) places, ascending, and the range.

    Raises:
        MatchingError: a value is NaN or infinite, `highest` below `lowest`, or `count` or `one` out of range.
    """
    low, high = np.asarray(lowest, np.float64), np.asarray(highest, np.float64)
    if low.ndim != 1 or low.shape != high.shape or not 1 <= count <= len(low) or not 0 <= one < len(low):
        raise MatchingError(f"{count} of {low.size} modules, with number {one}, cannot be taken; give two equal lists")
    if not np.all(np.isfinite(low) & np.isfinite(high) & (high >= low)):
        raise MatchingError("a module's values are missing or out of order; leave it out, or measure it again")
    by_highest = np.argsort(high, kind="stable")
    best, least = np.empty(0, np.int64), np.inf
    for base in np.unique(low[low <= low[one]]):
        others = [module for module in by_highest if low[module] >= base and module != one][: count - 1]
        if len(others) < count - 1:
            break
        chosen = np.array([one, *others])
        between = float(np.max(high[chosen]) - base)
        if between < least:
            best, least = np.sort(chosen), between
    return best, least
