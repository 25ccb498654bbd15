"""Moments of one series against certified values, exact fractions and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.analysis.spc.moments import moments
from tests.reference.spc import exact_moments
from tests.support.strd import MAVRO, MICHELSO, Univariate

VALUES = st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda value: round(value, 3))


@pytest.mark.parametrize("certified", [MICHELSO, MAVRO], ids=["Michelso", "Mavro"])
def test_certified_values(certified: Univariate) -> None:
    found = moments(certified.values)
    assert found.mean == pytest.approx(certified.mean, rel=1e-14)
    assert found.sd_overall == pytest.approx(certified.sd, rel=1e-11)
    assert found.autocorrelation == pytest.approx(certified.autocorrelation, rel=1e-10)


@given(st.lists(VALUES | st.sampled_from([math.nan, math.inf, -math.inf]), max_size=30))
def test_agrees_with_fractions(values: list[float]) -> None:
    found, twin = moments(values)._asdict(), exact_moments(values)
    assert (found["n"], found["missing"]) == (twin["n"], twin["missing"])
    for name in ("mean", "sd_overall", "moving_range"):
        assert found[name] == pytest.approx(twin[name], rel=1e-9, abs=1e-9, nan_ok=True)
    if twin["sd_overall"] > 1e-6:
        assert found["autocorrelation"] == pytest.approx(twin["autocorrelation"], abs=1e-6)


def test_a_small_spread_on_a_large_value_after_an_outlier() -> None:
    values = [1e6, *(3.3 + 1e-4 * (-1) ** i for i in range(1000))]
    twin = exact_moments(values)
    assert moments(values).sd_overall == pytest.approx(twin["sd_overall"], rel=1e-12)
    inner = moments(values[1:])
    assert inner.sd_overall == pytest.approx(exact_moments(values[1:])["sd_overall"], rel=1e-12)


def test_few_values() -> None:
    none, one, two = moments([]), moments([2.0]), moments([2.0, 3.0])
    assert (none.n, none.missing) == (0, 0)
    assert all(math.isnan(value) for value in none[2:])
    assert one.mean == 2.0
    assert all(math.isnan(value) for value in one[3:])
    assert two[2:] == pytest.approx((2.5, math.sqrt(0.5), 1.0, -0.5))


def test_a_missing_value_is_counted_and_no_range_goes_across_it() -> None:
    found = moments([1.0, 2.0, math.nan, 10.0, 11.0, math.inf])
    assert (found.n, found.missing, found.mean, found.moving_range) == (4, 2, 6.0, 1.0)
    assert moments([math.nan] * 3).missing == 3


def test_a_value_that_never_moves_has_no_autocorrelation() -> None:
    found = moments([0.1] * 10)
    assert (found.mean, found.sd_overall, found.moving_range) == (0.1, 0.0, 0.0)
    assert math.isnan(found.autocorrelation)


def test_a_strided_series_is_the_same() -> None:
    values = np.random.default_rng(1).normal(3.3, 0.01, 40)
    assert moments(np.repeat(values, 2)[::2]) == moments(values)
