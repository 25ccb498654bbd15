"""Capability by hand, and what never counts as capable."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bmsctl.analysis.spc.capability import capability

NAN = math.nan


def test_by_hand() -> None:
    found = capability(10.5, 0.5, 9.0, 12.0)
    assert (float(found.c), float(found.ck)) == (1.0, 1.0)
    shifted = capability(11.0, 0.5, 9.0, 12.0)
    assert float(shifted.ck) == pytest.approx(1.0 / 1.5)


def test_one_limit_gives_its_side_only() -> None:
    for lower, upper, expected in ((9.0, NAN, 4.0 / 3.0), (NAN, 12.0, 2.0 / 3.0)):
        found = capability(11.0, 0.5, lower, upper)
        assert math.isnan(found.c)
        assert float(found.ck) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mean", "sd", "lower", "upper"), [(1.0, 0.1, NAN, NAN), (1.0, 0.0, 0.0, 2.0), (1.0, NAN, 0.0, 2.0)]
)
def test_nothing_is_capable_without_limits_or_spread(mean: float, sd: float, lower: float, upper: float) -> None:
    assert all(math.isnan(value) for value in capability(mean, sd, lower, upper))


def test_no_mean_is_not_capable() -> None:
    assert math.isnan(capability(NAN, 0.1, 0.0, 2.0).ck)


def test_arrays() -> None:
    found = capability([10.5, 11.0], [0.5, 0.0], [9.0, 9.0], [12.0, 12.0])
    np.testing.assert_array_equal(found.ck, [1.0, NAN])
    np.testing.assert_array_equal(found.c, [1.0, NAN])
