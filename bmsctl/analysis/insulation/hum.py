"""The mains' hum in a record: its phase at each block, and its exact frequency."""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.insulation.model import HUM

MAINS_HZ = (50.0, 60.0)
MAINS_WITHIN_HZ = 0.5
TELLING = 5.0
"""Standard deviations of its amplitude: below, there is no hum whose frequency could be told."""


@kernel
def phases(hertz, centre_s, blocks, hum):  # type: ignore[no-untyped-def]
    """Put sine and cosine of the mains, and the time from the middle of the first blocks, into `hum`."""
    middle_s = 0.5 * (centre_s[0] + centre_s[blocks - 1])
    for block in range(blocks):
        t = centre_s[block] - middle_s
        hum.sine[block], hum.cosine[block] = np.sin(2.0 * np.pi * hertz * t), np.cos(2.0 * np.pi * hertz * t)
        hum.from_middle_s[block] = t


@kernel
def retuned(theta, covariance, hertz):  # type: ignore[no-untyped-def]
    """The frequency that makes the hum's drift one of its amplitude alone; `hertz` where there is no hum to tell."""
    size = theta[HUM] ** 2 + theta[HUM + 1] ** 2
    if size < TELLING**2 * (covariance[HUM, HUM] + covariance[HUM + 1, HUM + 1]):
        return hertz
    turn = (theta[HUM] * theta[HUM + 3] - theta[HUM + 1] * theta[HUM + 2]) / size
    found = hertz + turn / (2.0 * np.pi)
    for mains_hz in MAINS_HZ:
        if abs(found - mains_hz) < MAINS_WITHIN_HZ:
            return found
    return hertz
