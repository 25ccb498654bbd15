"""Time constant of a precharge curve by trying many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def grid_search_tau(voltage_v: NDArray[np.float64], sample_rate_hz: float) -> float:
    """The tau between 28 and 34 ms, to 0.12 %, whose ideal curve at its best start has the least squared error."""
    end_v = float(np.mean(voltage_v[-len(voltage_v) // 10 :]))
    first = int(np.argmax(voltage_v > 0.1 * end_v))
    best = (np.inf, np.nan)
    time_s = np.arange(len(voltage_v)) / sample_rate_hz
    for tau_s in np.geomspace(0.028, 0.034, 160):
        for shift_s in np.linspace(-0.001, 0.001, 81):
            start_s = time_s[first] + tau_s * np.log(1.0 - 0.1) + shift_s
            ideal = np.where(time_s > start_s, end_v * (1.0 - np.exp(-(time_s - start_s) / tau_s)), 0.0)
            best = min(best, (float(np.sum((voltage_v - ideal) ** 2)), float(tau_s)))
    return best[1]
