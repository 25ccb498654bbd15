"""One-way analysis of variance: whether the means of groups differ more than their scatter explains.

Source: NIST StRD, analysis of variance, for the definitions. Reference: tests/reference/spc.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bmsctl.errors import BmsctlError


class GroupsError(BmsctlError):
    """The groups cannot be compared."""


class OneWay(NamedTuple):
    """Sums of squares and degrees of freedom between and within groups.

    `f` is NaN when nothing scatters at all, and infinite when only the means differ.
    """

    between: float
    between_df: int
    within: float
    within_df: int
    f: float
    r_squared: float
    residual_sd: float


def one_way(groups: Sequence[ArrayLike]) -> OneWay:
    """Compare groups of any sizes.

    Values are shifted by the first of all, and sums are rounded once, at their end.

    Args:
        groups: (n_i,) each, in any order; a value that is no number makes every figure NaN.

    Raises:
        GroupsError: fewer than two groups, an empty one, or no group with two values.
    """
    series = [np.asarray(group, np.float64) for group in groups]
    sizes = [len(each) for each in series]
    between_df, within_df = len(sizes) - 1, sum(sizes) - len(sizes)
    if between_df < 1 or min(sizes) < 1 or within_df < 1:
        raise GroupsError(f"groups of {sizes} values cannot be compared; give two groups or more, and repeat values")
    if not all(np.isfinite(each).all() for each in series):
        nan = math.nan
        return OneWay(nan, between_df, nan, within_df, nan, nan, nan)
    shifted = [each - series[0][0] for each in series]
    means = [math.fsum(each) / len(each) for each in shifted]
    grand = math.fsum(size * mean for size, mean in zip(sizes, means, strict=True)) / sum(sizes)
    between = math.fsum(size * (mean - grand) ** 2 for size, mean in zip(sizes, means, strict=True))
    within = math.fsum(math.fsum((each - mean) ** 2) for each, mean in zip(shifted, means, strict=True))
    scatter, total = within / within_df, between + within
    if scatter > 0.0:
        f = between / between_df / scatter
    else:
        f = math.inf if between > 0.0 else math.nan
    r_squared = between / total if total > 0.0 else math.nan
    return OneWay(between, between_df, within, within_df, f, r_squared, math.sqrt(scatter))
