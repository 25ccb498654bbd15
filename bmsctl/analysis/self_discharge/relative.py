"""Self-discharge of cells from two rest voltages: the K value, relative to the pack's median."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

HOUR_S = 3600.0


class SelfDischarge(NamedTuple):
    """`rate_v_per_h`: (series,) against the median, NaN where a voltage is missing; `worst` the fastest, from 1."""

    rate_v_per_h: F64
    worst: int
    silent: tuple[int, ...]


def relative_self_discharge(before_v: F64, now_v: F64, age_s: F64) -> SelfDischarge:
    """Fall of each cell's rest voltage per hour, less the median of the pack.

    The median takes out what all cells have in common: ageing at another temperature than assumed, and the offset
    between the two voltmeters. `worst` is 0 when no cell has both voltages.

    Args:
        before_v: (series,) rest voltages when the modules came in; NaN for none.
        now_v: (series,) rest voltages now; NaN for none.
        age_s: (series,) time between the two.
    """
    rate = HOUR_S * (before_v - now_v) / age_s
    silent = tuple(int(cell) + 1 for cell in np.flatnonzero(np.isnan(rate)))
    if len(silent) == len(rate):
        return SelfDischarge(rate, 0, silent)
    relative = rate - np.nanmedian(rate)
    return SelfDischarge(relative, int(np.nanargmax(relative)) + 1, silent)
