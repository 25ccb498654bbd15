"""Windows are range over median, and who can be together is told by the highest value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.analysis.matching.modules import MatchingError
from bmsctl.analysis.matching.windows import Windows, beside, count_companions, fits
from tests.reference.matching import keeps
from tests.unit.analysis.matching.lots import lot

VALUES = st.lists(st.floats(0.5, 2.0), min_size=1, max_size=7)
SHARES = st.floats(0.0, 2.0)


@given(VALUES, SHARES)
def test_a_window_is_range_over_median(values: list[float], window: float) -> None:
    kept = keeps(values, window)
    assert fits(np.array(values), window) == kept
    assert fits.py_func(np.array(values), window) == kept


@given(VALUES, SHARES)
def test_all_of_a_pack_can_be_beside_each_other(values: list[float], window: float) -> None:
    keep = Windows(window, window).keep()[0]
    if keeps(values, window):
        together = np.array(values)
        assert all(beside(together, one, other, keep) for one in range(len(values)) for other in range(len(values)))


@pytest.mark.parametrize("windows", [(0.008, 0.04), (np.inf, 0.04), (0.008, np.inf), (0.0, 0.0)])
def test_companions_are_those_of_all_pairs(windows: tuple[float, float]) -> None:
    capacity, dcir = (np.round(values, 5) for values in lot(50, 1))
    order = np.argsort(capacity)
    capacity, dcir, keep = capacity[order], dcir[order], Windows(*windows).keep()
    every = np.ones((50, 50), np.bool_)
    for values, share in ((capacity, keep[0]), (dcir, keep[1])):
        every &= np.maximum.outer(values, values) * share <= np.minimum.outer(values, values)
    found = [np.empty(50, np.int64), np.empty(50, np.int64)]
    count_companions(capacity, dcir, keep, found[0])
    count_companions.py_func(capacity, dcir, keep, found[1])
    np.testing.assert_array_equal(found[0], every.sum(axis=1) - 1)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("window", [-0.01, np.nan])
def test_a_window_below_zero_or_none_is_refused(window: float) -> None:
    Windows(0.0, np.inf).require_possible()
    for windows in (Windows(window, 1.0), Windows(1.0, window)):
        with pytest.raises(MatchingError, match="is none; give a share of 0 or more"):
            windows.require_possible()
