"""Mean and spread of one series of measurements, told from what is missing.

Values are shifted by the first and squared about their mean: a spread of 0.1 mV on 3.3 V keeps its digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]


class Moments(NamedTuple):
    """Of the values that are numbers; NaN where there are too few.

    `missing`: how many are not. `moving_range`: mean of the differences between a value and the next, without those
    across a missing one. `autocorrelation`: of a value and the next, NaN without spread.
    """

    n: int
    missing: int
    mean: float
    sd_overall: float
    moving_range: float
    autocorrelation: float


def moments(values: ArrayLike) -> Moments:
    """Moments of a series in the order it was measured.

    Args:
        values: (n,); NaN and infinity are missing. Empty is allowed, and it need not be contiguous.

    Source: NIST StRD, univariate summary statistics, for the definitions. Reference: tests/reference/spc.py.
    """
    series = np.asarray(values, np.float64)
    known = np.isfinite(series)
    n = int(np.count_nonzero(known))
    missing, nan = series.size - n, float("nan")
    if n == 0:
        return Moments(0, missing, nan, nan, nan, nan)
    with np.errstate(all="ignore"):
        first = series[known][0]
        shifted = np.where(known, series - first, 0.0)
        shift = shifted.sum() / n
        centred = np.where(known, shifted - shift, 0.0)
        square = float((centred**2).sum() - centred.sum() ** 2 / n)
        pairs = known[1:] & known[:-1]
        ranges = np.abs(np.diff(shifted))[pairs]
        product = float((centred[1:] * centred[:-1]).sum())
    return Moments(
        n,
        missing,
        float(first + shift),
        float(np.sqrt(square / (n - 1))) if n > 1 else nan,
        float(ranges.mean()) if len(ranges) else nan,
        product / square if square > 0.0 else nan,
    )
