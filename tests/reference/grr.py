"""Twin of the crossed analysis of variance: sums of squares as differences of uncorrected sums, in fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from scipy import stats

Values = Sequence[Sequence[Sequence[float]]]


def squares(values: Values) -> dict[str, tuple[Fraction, int]]:
    """Sum of squares and degrees of freedom by source; `values`: [part][appraiser][trial]."""
    exact = [[[Fraction(x) for x in cell] for cell in part] for part in values]
    p, k, r = len(exact), len(exact[0]), len(exact[0][0])
    total = sum(x for part in exact for cell in part for x in cell)
    correction = total * total / (p * k * r)
    raw = sum(x * x for part in exact for cell in part for x in cell)
    by_part = sum(sum(sum(cell) for cell in part) ** 2 for part in exact) / Fraction(k * r) - correction
    by_appraiser = sum(sum(sum(part[a]) for part in exact) ** 2 for a in range(k)) / Fraction(p * r) - correction
    by_cell = sum(sum(cell) ** 2 for part in exact for cell in part) / Fraction(r) - correction
    return {
        "appraisers": (by_appraiser, k - 1),
        "parts": (by_part, p - 1),
        "interaction": (by_cell - by_part - by_appraiser, (p - 1) * (k - 1)),
        "equipment": (raw - correction - by_cell, p * k * (r - 1)),
    }


def study(values: Values, alpha: float = 0.25) -> tuple[float, float, float, float]:
    """EV, AV, interaction and PV by the expected mean squares."""
    p, k, r = len(values), len(values[0]), len(values[0][0])
    table = squares(values)
    mean = {name: float(square / df) if df else 0.0 for name, (square, df) in table.items()}
    (i, i_df), (e, e_df) = table["interaction"], table["equipment"]
    if i_df and stats.f.sf(mean["interaction"] / mean["equipment"], i_df, e_df) <= alpha:
        error, beside = mean["equipment"], mean["interaction"]
        interaction = math.sqrt(max((beside - error) / r, 0.0))
    else:
        error = beside = float((i + e) / (i_df + e_df))
        interaction = 0.0
    av = math.sqrt(max((mean["appraisers"] - beside) / (p * r), 0.0)) if k > 1 else 0.0
    pv = math.sqrt(max((mean["parts"] - beside) / (k * r), 0.0))
    return math.sqrt(error), av, interaction, pv
