"""Capability of a process: how its spread fits between the limits of the specification.

    Cp = (U - L) / (6 s)        Cpk = min(U - mean, mean - L) / (3 s)

with the spread within, from moving ranges; Pp and Ppk are the same with the overall one. With one limit there is no
Cp, and Cpk is of that side.

Source: ISO 22514-2; AIAG SPC, 2nd edition.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]


class Capability(NamedTuple):
    """Of the same shape as what they were computed from; NaN without limits and without spread."""

    c: F64
    ck: F64


def capability(mean: ArrayLike, sd: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Capability:
    """Both indices, of one process or of arrays of them.

    Args:
        mean: of the process.
        sd: its standard deviation; NaN or zero gives NaN: a value that never moves proves no capability.
        lower: limit of the specification, NaN for none.
        upper: the same above.
    """
    mean, lower, upper = (np.asarray(value, np.float64) for value in (mean, lower, upper))
    spread = np.where(np.asarray(sd, np.float64) > 0.0, sd, np.nan)
    with np.errstate(all="ignore"):
        return Capability((upper - lower) / (6.0 * spread), np.fmin(upper - mean, mean - lower) / (3.0 * spread))
