"""Statistics of a pack's resting cell voltages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


class CellStatistics(NamedTuple):
    """Volts; `worst` is the number, from 1, of the cell farthest from the median; `silent` those without value."""

    median_v: float
    min_v: float
    max_v: float
    sum_v: float
    worst: int
    deviation_v: float
    silent: tuple[int, ...]


def cell_statistics(voltage_v: F64) -> CellStatistics:
    """Describe one set of cell-group voltages, (n_series,) volts, NaN for a cell without value.

    `sum_v` is NaN when any cell is; every other figure is over the cells that have a value. All NaN gives NaN
    throughout and `worst` 0.
    """
    silent = tuple(int(cell) + 1 for cell in np.flatnonzero(np.isnan(voltage_v)))
    if len(silent) == len(voltage_v):
        nan = float("nan")
        return CellStatistics(nan, nan, nan, nan, 0, nan, silent)
    median_v = float(np.nanmedian(voltage_v))
    deviation_v = np.abs(voltage_v - median_v)
    worst = int(np.nanargmax(deviation_v))
    return CellStatistics(
        median_v,
        float(np.nanmin(voltage_v)),
        float(np.nanmax(voltage_v)),
        float(np.sum(voltage_v)),
        worst + 1,
        float(deviation_v[worst]),
        silent,
    )
