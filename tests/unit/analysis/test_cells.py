"""Cell statistics against the standard library."""

from __future__ import annotations

import math
import statistics

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.analysis.cells import cell_statistics


@given(st.lists(st.floats(2.5, 4.3), min_size=3, max_size=96))
def test_agrees_with_the_standard_library(volts: list[float]) -> None:
    cells = cell_statistics(np.array(volts))
    median = statistics.median(volts)
    worst = max(volts, key=lambda volt: abs(volt - median))
    assert math.isclose(cells.median_v, median)
    assert (cells.min_v, cells.max_v) == (min(volts), max(volts))
    assert math.isclose(cells.sum_v, math.fsum(volts), rel_tol=1e-12)
    assert math.isclose(cells.deviation_v, abs(worst - median))
    assert math.isclose(abs(volts[cells.worst - 1] - median), cells.deviation_v)
    assert cells.silent == ()


def test_a_silent_cell_is_named_and_spoils_only_the_sum() -> None:
    cells = cell_statistics(np.array([3.6, np.nan, 3.7, 3.62]))
    assert cells.silent == (2,)
    assert (cells.min_v, cells.max_v, cells.worst) == (3.6, 3.7, 3)
    assert math.isnan(cells.sum_v)


def test_all_silent_has_no_statistics() -> None:
    cells = cell_statistics(np.full(4, np.nan))
    assert (cells.worst, cells.silent) == (0, (1, 2, 3, 4))
    assert math.isnan(cells.median_v)
