"""The K value as the slope of a line through several rest voltages, with its standard error.

Two voltages give a K value and no idea how far it can be trusted. A line through three or more gives

    K = -sum (t - t_mean)(v - v_mean) / S        S = sum (t - t_mean)^2
    s(K) = sqrt( sum of squared residuals / (n - 2) / S )

so that a cell is judged on its slope and how well that is known. What all cells have in common, their temperature
above all, is taken out by subtracting the median of the pack's K values.

Source: ordinary least squares on centred times. Reference: tests/reference/self_discharge.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.self_discharge.relative import HOUR_S
from bmsctl.errors import BmsctlError

F64 = NDArray[np.float64]

TIMES_MIN = 2


class RestVoltageError(BmsctlError):
    """The rest voltages have no slope: too few times, or all the same."""


class KValues(NamedTuple):
    """(cells,) volts an hour, positive when the voltage falls, and its standard error.

    Both are NaN for a cell with a voltage that is no number; the error is NaN with two times only.
    """

    k_v_per_h: F64
    error_v_per_h: F64


def k_values(time_s: ArrayLike, voltage_v: ArrayLike) -> KValues:
    """K value of each cell over all its rest voltages.

    Args:
        time_s: (n,) when the voltages were taken, n >= 2, in any order.
        voltage_v: (cells, n) rest voltages; float32 is enough, sums are in float64. Need not be contiguous; no cells
            give empty arrays.

    Raises:
        RestVoltageError: fewer than two times, one that is no number, all times the same, or not as many as voltages.
    """
    times = np.asarray(time_s, np.float64)
    volts = np.ascontiguousarray(voltage_v, np.float64)
    if times.ndim != 1 or volts.ndim != 2 or volts.shape[1] != len(times):
        raise RestVoltageError(f"{volts.shape} rest voltages at {times.shape} times; give (cells, n) and (n,)")
    if len(times) < TIMES_MIN or not np.isfinite(times).all() or np.ptp(times) == 0.0:
        raise RestVoltageError("a slope needs rest voltages at two different times at least; measure once more")
    centred_h = (times - times[0]) / HOUR_S
    centred_h -= centred_h.mean()
    k_v_per_h, error_v_per_h = np.empty(len(volts)), np.empty(len(volts))
    rest_slopes(centred_h, volts, k_v_per_h, error_v_per_h)
    return KValues(k_v_per_h, error_v_per_h)


@kernel
def rest_slopes(centred_h: F64, voltage_v: F64, k_v_per_h: F64, error_v_per_h: F64) -> None:
    """Write the K value and its standard error of each cell.

    Voltages are shifted by the cell's first, so that millivolts are told on volts.

    Args:
        centred_h: (n,) hours less their mean, n >= 2, not all 0.
        voltage_v: (cells, n) volts, contiguous; a cell with NaN or infinity gets NaN.
        k_v_per_h: (cells,) result.
        error_v_per_h: (cells,) result, NaN where n = 2.
    """
    n = len(centred_h)
    square_h2 = 0.0
    for i in range(n):
        square_h2 += centred_h[i] * centred_h[i]
    for cell in range(len(voltage_v)):
        first_v = voltage_v[cell, 0]
        total_v = 0.0
        product = 0.0
        for i in range(n):
            shifted_v = voltage_v[cell, i] - first_v
            total_v += shifted_v
            product += centred_h[i] * shifted_v
        slope = product / square_h2
        level_v = first_v + total_v / n
        left_v2 = 0.0
        for i in range(n):
            left_v = voltage_v[cell, i] - level_v - slope * centred_h[i]
            left_v2 += left_v * left_v
        k_v_per_h[cell] = -slope if math.isfinite(slope) else math.nan
        error_v_per_h[cell] = math.sqrt(left_v2 / (n - 2) / square_h2) if n > TIMES_MIN else math.nan


def warm_up() -> None:
    """Compile the kernel into the cache."""
    k_values([0.0, HOUR_S, 2.0 * HOUR_S], [[0.0, 0.0, 0.0]])
