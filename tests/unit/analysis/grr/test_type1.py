"""The type 1 study by hand."""

from __future__ import annotations

import math

import pytest

from bmsctl.analysis.grr.study import StudyError
from bmsctl.analysis.grr.type1 import type_one_study


def test_by_hand() -> None:
    """Readings 6.1, 5.9, 6.1, 5.9 of 6.05, tolerance 3: s = 0.2/sqrt(3), bias -0.05."""
    found = type_one_study([6.1, 5.9, 6.1, 5.9], 6.05, 3.0)
    sd = 0.1 * math.sqrt(4.0 / 3.0)
    assert (found.n, found.bias, found.sd) == (4, pytest.approx(-0.05), pytest.approx(sd))
    assert found.cg == pytest.approx(0.6 / (6.0 * sd))
    assert found.cgk == pytest.approx((0.3 - 0.05) / (3.0 * sd))


def test_readings_all_alike_do_not_make_a_good_gauge() -> None:
    found = type_one_study([6.0] * 50, 6.0, 1.0)
    assert math.isnan(found.cg)
    assert math.isnan(found.cgk)


@pytest.mark.parametrize("readings", [[], [1.0], [1.0, math.nan], [1.0, math.inf]])
def test_too_few_readings(readings: list[float]) -> None:
    with pytest.raises(StudyError, match="measure again"):
        type_one_study(readings, 1.0, 1.0)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf])
def test_no_tolerance(tolerance: float) -> None:
    with pytest.raises(StudyError, match="give the width"):
        type_one_study([1.0, 2.0], 1.0, tolerance)
