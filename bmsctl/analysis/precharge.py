"""The precharge curve: time constant and end value of a capacitor charged through a resistor."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

TAIL_SHARE = 0.1
RISE_LOW, RISE_HIGH = 0.1, 0.85
RISE_SAMPLES_MIN = 20


class PrechargeCurve(NamedTuple):
    """`tau_s` is NaN where the curve does not rise from near zero in at least 20 samples."""

    tau_s: float
    end_v: float


def fit_precharge(voltage_v: F64, sample_rate_hz: float) -> PrechargeCurve:
    """Fit U(t) = U_end (1 - exp(-(t - t0) / tau)) to a recording that holds the whole rise.

    The end value is the mean of the last tenth; between 10 % and 85 % of it, ln(1 - U/U_end) is a straight
    line whose slope is -1/tau, fitted by least squares weighted with (1 - U/U_end)^2, the inverse variance
    of the logarithm under white noise.

    Args:
        voltage_v: (n,) link voltage, gapless, n >= 100, beginning before the rise.
        sample_rate_hz: samples per second.

    Returns:
        Time constant and end voltage.

    Source: the first-order RC charging law.
    """
    end_v = float(np.mean(voltage_v[-max(1, int(len(voltage_v) * TAIL_SHARE)) :]))
    nothing = PrechargeCurve(float("nan"), end_v)
    if not np.all(np.isfinite(voltage_v)) or end_v <= 0.0:
        return nothing
    share = voltage_v / end_v
    above = np.flatnonzero(share >= RISE_LOW)
    beyond = np.flatnonzero(share >= RISE_HIGH)
    if len(above) == 0 or len(beyond) == 0 or above[0] == 0:
        return nothing
    rise = slice(int(above[0]), int(beyond[0]))
    remaining = 1.0 - share[rise]
    if len(remaining) < RISE_SAMPLES_MIN or np.any(remaining <= 0.0):
        return nothing
    time_s = np.arange(len(remaining)) / sample_rate_hz
    slope, _ = np.polyfit(time_s, np.log(remaining), 1, w=remaining)
    if slope >= 0.0:
        return nothing
    return PrechargeCurve(float(-1.0 / slope), end_v)
