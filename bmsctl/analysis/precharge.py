"""The precharge curve: time constant and end value of a capacitor charged through a resistor."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

TAIL_SHARE = 0.1
RISE_LOW, RISE_HIGH = 0.1, 0.85
RISE_TAUS = math.log((1.0 - RISE_LOW) / (1.0 - RISE_HIGH))
RISE_SAMPLES_MIN = 20


class PrechargeCurve(NamedTuple):
    """`tau_s` is an upper bound where not `resolved`, and NaN where there is no complete rise from near zero."""

    tau_s: float
    end_v: float
    resolved: bool


def fit_precharge(voltage_v: F64, sample_rate_hz: float) -> PrechargeCurve:
    """Fit U(t) = U_end (1 - exp(-(t - t0) / tau)) to a recording that holds the whole rise.

    The end value is the mean of the last tenth; between 10 % and 85 % of it, ln(1 - U/U_end) is a straight
    line whose slope is -1/tau, fitted by least squares weighted with (1 - U/U_end)^2, the inverse variance
    of the logarithm under white noise. A rise of fewer than 20 samples is only bounded: it took less than one
    sample more than those, and ln(0.9/0.15) time constants.

    Args:
        voltage_v: (n,) link voltage, gapless, n >= 100, beginning before the rise.
        sample_rate_hz: samples per second.

    Returns:
        Time constant or its upper bound, and end voltage.

    Source: the first-order RC charging law.
    """
    end_v = float(np.mean(voltage_v[-max(1, int(len(voltage_v) * TAIL_SHARE)) :]))
    nothing = PrechargeCurve(float("nan"), end_v, resolved=False)
    if not np.all(np.isfinite(voltage_v)) or end_v <= 0.0:
        return nothing
    share = voltage_v / end_v
    above = np.flatnonzero(share >= RISE_LOW)
    beyond = np.flatnonzero(share >= RISE_HIGH)
    if len(above) == 0 or len(beyond) == 0 or above[0] == 0:
        return nothing
    remaining = 1.0 - share[above[0] : beyond[0]]
    if len(remaining) < RISE_SAMPLES_MIN:
        stays = np.min(share[: above[0]]) > -RISE_LOW and np.min(share[beyond[0] :]) > RISE_HIGH - RISE_LOW
        rise_s = (len(remaining) + 1) / sample_rate_hz
        return PrechargeCurve(rise_s / RISE_TAUS, end_v, resolved=False) if stays else nothing
    time_s = np.arange(len(remaining)) / sample_rate_hz
    slope, _ = np.polyfit(time_s, np.log(remaining), 1, w=remaining)
    if slope >= 0.0:
        return nothing
    return PrechargeCurve(float(-1.0 / slope), end_v, resolved=True)
