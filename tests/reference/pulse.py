"""Twin of the pulse fit: numpy's least squares, one pulse at a time, with the covariance from the design matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def fitted(time_s: F64, voltage_v: F64, rest_v: float, current_a: float, skip_s: float) -> tuple[float, ...]:
    """R, k, their standard errors, and the root mean square left."""
    used = time_s >= skip_s
    design = np.column_stack((np.ones(used.sum()), np.sqrt(time_s[used])))
    fall_v = rest_v - voltage_v[used]
    answer, _, _, _ = np.linalg.lstsq(design, fall_v, rcond=None)
    left_v2 = float(np.sum((fall_v - design @ answer) ** 2)) / (len(fall_v) - 2)
    errors = np.sqrt(left_v2 * np.diag(np.linalg.inv(design.T @ design)))
    return (*(answer / current_a), *(errors / abs(current_a)), left_v2**0.5)
