"""The type 1 study: one person measures one reference many times; are bias and repeatability small to the tolerance?

    Cg = 0.2 T / (6 s)        Cgk = (0.1 T - |mean - reference|) / (3 s)

Source: VDA volume 5; AIAG MSA, 4th edition, for bias.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bmsctl.analysis.grr.study import StudyError

READINGS_MIN = 2
SHARE = 0.2
"""Of the tolerance: what a gauge may take of it, six standard deviations wide."""


class TypeOne(NamedTuple):
    """`cg` and `cgk` are NaN when all readings are alike: the gauge is too coarse to show its spread."""

    n: int
    bias: float
    sd: float
    cg: float
    cgk: float


def type_one_study(readings: ArrayLike, reference: float, tolerance: float) -> TypeOne:
    """Evaluate repeated readings of a reference.

    Args:
        readings: (n,), n >= 2, in any order.
        reference: true value of what was measured.
        tolerance: width between the limits of the characteristic.

    Raises:
        StudyError: too few readings, one that is no number, or a tolerance that is not positive.
    """
    values = np.asarray(readings, np.float64)
    if values.size < READINGS_MIN or not np.isfinite(values).all() or not math.isfinite(reference):
        raise StudyError(f"{values.size} readings, of which all must be numbers, are not enough; measure again")
    if not 0.0 < tolerance < math.inf:
        raise StudyError(f"a tolerance of {tolerance:g} is none; give the width between the limits")
    shifted = values - reference
    bias, sd = float(shifted.mean()), float(shifted.std(ddof=1))
    if sd == 0.0:
        return TypeOne(values.size, bias, sd, math.nan, math.nan)
    cg = SHARE * tolerance / (6.0 * sd)
    return TypeOne(values.size, bias, sd, cg, (SHARE / 2.0 * tolerance - abs(bias)) / (3.0 * sd))
