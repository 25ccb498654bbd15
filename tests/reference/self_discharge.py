"""Self-discharge cell by cell."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def relative_rates(before_v: Sequence[float], now_v: Sequence[float], age_h: Sequence[float]) -> list[float]:
    """Volts an hour that each cell has lost more than the median cell."""
    rates = [(before - now) / age for before, now, age in zip(before_v, now_v, age_h, strict=True)]
    median = statistics.median(rates)
    return [rate - median for rate in rates]
