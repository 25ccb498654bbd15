"""Nelson's eight rules: patterns on a control chart that chance alone hardly makes.

1  one value beyond three sigma
2  nine in a row on the same side of the mean
3  six in a row, each higher, or each lower, than the one before
4  fourteen in a row that alternate up and down
5  two of three beyond two sigma, on the same side
6  four of five beyond one sigma, on the same side
7  fifteen in a row within one sigma
8  eight in a row beyond one sigma, with some on either side

Source: Nelson, L. S. (1984): The Shewhart control chart, tests for special causes. Journal of Quality Technology 16,
237-239. Reference: tests/reference/spc.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

SAME_SIDE, TREND, ALTERNATING, HUGGING, MIXTURE = 9, 6, 14, 15, 8
TWO_OF, FOUR_OF = 3, 5


def nelson_rules(values: ArrayLike, mean: float, sigma: float) -> Mapping[int, list[int]]:
    """Rule to the indices, from 0, of each value that completes a pattern or goes on with it.

    Rules without such a value are left out. A missing value ends every pattern. A value on the mean is on neither
    side, and two equal values are neither up nor down.

    Args:
        values: (n,) in the order they were measured; NaN and infinity are missing.
        mean: centre line.
        sigma: a third of the distance from it to a control limit. Zero leaves rules 1 to 4, for there are no zones;
            NaN leaves none.
    """
    series = np.asarray(values, np.float64)
    hits: dict[int, list[int]] = {}
    if not np.isfinite(mean) or not np.isfinite(sigma):
        return hits
    known = np.flatnonzero(np.isfinite(series))
    for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if len(part):
            for rule, hit in _patterns(series[part] - mean, sigma).items():
                hits.setdefault(rule, []).extend(int(index) for index in part[hit])
    return {rule: hits[rule] for rule in sorted(hits) if hits[rule]}


def _patterns(deviation: F64, sigma: float) -> dict[int, Bools]:
    """Rule to where it is hit, in a series without gaps."""
    above, below = deviation > 0.0, deviation < 0.0
    steps = np.sign(np.diff(deviation, prepend=deviation[0]))
    turns = np.zeros(len(steps), np.bool_)
    turns[2:] = steps[2:] * steps[1:-1] < 0.0
    found = {
        1: np.abs(deviation) > 3.0 * sigma,
        2: (_run(above) >= SAME_SIDE) | (_run(below) >= SAME_SIDE),
        3: (_run(steps > 0.0) >= TREND - 1) | (_run(steps < 0.0) >= TREND - 1),
        4: _run(turns) >= ALTERNATING - 2,
    }
    if sigma > 0.0:
        beyond = np.abs(deviation) > sigma
        mixed = (_among(above, MIXTURE) > 0) & (_among(below, MIXTURE) > 0)
        found[5] = _most(deviation, 2.0 * sigma, TWO_OF)
        found[6] = _most(deviation, sigma, FOUR_OF)
        found[7] = _run(np.abs(deviation) < sigma) >= HUGGING
        found[8] = (_run(beyond) >= MIXTURE) & mixed
    return found


def _run(flags: Bools) -> NDArray[np.int64]:
    """How many flags in a row end at each place."""
    places: NDArray[np.int64] = np.arange(len(flags), dtype=np.int64)
    return places - np.maximum.accumulate(np.where(flags, -1, places))


def _among(flags: Bools, window: int) -> NDArray[np.int64]:
    """How many flags are among each value and those before it, `window` in all."""
    total = np.concatenate((np.zeros(window, np.int64), np.cumsum(flags, dtype=np.int64)))
    counts: NDArray[np.int64] = total[window:] - total[:-window]
    return counts


def _most(deviation: F64, limit: float, window: int) -> Bools:
    """Where a value is beyond the limit, and all but one of the window are on its side."""
    high, low = deviation > limit, deviation < -limit
    hit: Bools = (high & (_among(high, window) >= window - 1)) | (low & (_among(low, window) >= window - 1))
    return hit
