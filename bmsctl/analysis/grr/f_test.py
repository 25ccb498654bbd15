"""The F distribution's upper tail, without a statistics library: one import fewer for one number.

Source: Abramowitz and Stegun 26.6.2 and 26.5.8, the continued fraction of the incomplete beta function, evaluated by
the modified Lentz method. Reference: scipy's in tests/unit/analysis/grr/test_f_test.py.
"""

from __future__ import annotations

import math

TERMS_MAX = 10_000
ENOUGH = 1e-15
TINY = 1e-300


def f_probability(f: float, df_above: float, df_below: float) -> float:
    """Probability of an F at least as large, with so many degrees of freedom above and below the line.

    NaN for an F that is no number; 1 for 0 and less.
    """
    if math.isnan(f):
        return math.nan
    if f <= 0.0:
        return 1.0
    return incomplete_beta(df_below / (df_below + df_above * f), df_below / 2.0, df_above / 2.0)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 <= x <= 1, a and b above 0."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - incomplete_beta(1.0 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """1 / (1 + d1 / (1 + d2 / (1 + ...))), of which the first part is taken out as the start."""
    below = 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1.0))
    above, result = 1.0, below
    for m in range(1, TERMS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for step in (even, odd):
            below = 1.0 / _not_zero(1.0 + step * below)
            above = _not_zero(1.0 + step / above)
            result *= below * above
        if abs(below * above - 1.0) < ENOUGH:
            break
    return result


def _not_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
