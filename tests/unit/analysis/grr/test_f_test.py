"""The F distribution's tail against scipy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bmsctl.analysis.grr.f_test import f_probability, incomplete_beta


@given(st.floats(1e-3, 1e3), st.integers(1, 300), st.integers(1, 2000))
def test_agrees_with_scipy(f: float, above: int, below: int) -> None:
    assert f_probability(f, above, below) == pytest.approx(stats.f.sf(f, above, below), rel=1e-9, abs=1e-250)


def test_the_ends() -> None:
    assert math.isnan(f_probability(math.nan, 2, 3))
    assert f_probability(0.0, 2, 3) == f_probability(-1.0, 2, 3) == 1.0
    assert f_probability(math.inf, 2, 3) == 0.0
    assert (incomplete_beta(0.0, 1.0, 2.0), incomplete_beta(1.0, 1.0, 2.0)) == (0.0, 1.0)
    assert incomplete_beta(0.25, 1.0, 1.0) == pytest.approx(0.25, rel=1e-14)
