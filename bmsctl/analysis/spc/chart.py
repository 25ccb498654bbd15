"""The individuals chart of one series: moments, control limits, capability and the rules it breaks.

    s_within = MR / 1.128        control limits = mean +- 2.66 MR

with MR the mean moving range of two, 1.128 = d2 and 2.66 = 3 / d2 as printed for subgroups of two.

Source: ISO 7870-2; AIAG SPC, 2nd edition, appendix E.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from numpy.typing import ArrayLike

from bmsctl.analysis.spc.capability import capability
from bmsctl.analysis.spc.moments import moments
from bmsctl.analysis.spc.rules import nelson_rules

D2 = 1.128
E2 = 2.66
D4 = 3.267
"""Of the mean moving range: the upper control limit of the chart of moving ranges."""
SIGMAS = 3.0


class Chart(NamedTuple):
    """Figures of one series, NaN where its values or limits do not give them; rule to indices of values, from 0."""

    n: int
    missing: int
    mean: float
    sd_within: float
    sd_overall: float
    cp: float
    cpk: float
    pp: float
    ppk: float
    lcl: float
    ucl: float
    autocorrelation: float
    rule_hits: Mapping[int, list[int]]


def individuals_chart(values: ArrayLike, lower: float = float("nan"), upper: float = float("nan")) -> Chart:
    """Chart of a series in the order it was measured.

    One value has a mean and nothing else; two have a spread.

    Args:
        values: (n,); NaN and infinity are missing. They are counted, and end moving ranges and patterns.
        lower: limit of the specification, NaN for none.
        upper: the same above.
    """
    found = moments(values)
    within = found.moving_range / D2
    reach = E2 * found.moving_range
    short, long = (capability(found.mean, sd, lower, upper) for sd in (within, found.sd_overall))
    return Chart(
        found.n,
        found.missing,
        found.mean,
        within,
        found.sd_overall,
        float(short.c),
        float(short.ck),
        float(long.c),
        float(long.ck),
        found.mean - reach,
        found.mean + reach,
        found.autocorrelation,
        nelson_rules(values, found.mean, reach / SIGMAS),
    )
