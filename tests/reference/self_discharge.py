"""Self-discharge cell by cell."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from scipy import stats


def relative_rates(before_v: Sequence[float], now_v: Sequence[float], age_h: Sequence[float]) -> list[float]:
    """Volts an hour that each cell has lost more than the median cell."""
    rates = [(before - now) / age for before, now, age in zip(before_v, now_v, age_h, strict=True)]
    median = statistics.median(rates)
    return [rate - median for rate in rates]


def regressed(time_s: Sequence[float], voltage_v: Sequence[float]) -> tuple[float, float]:
    """K value in volts an hour and its standard error, by scipy's regression of one cell."""
    line = stats.linregress([each / 3600.0 for each in time_s], voltage_v)
    return -float(line.slope), float(line.stderr)
