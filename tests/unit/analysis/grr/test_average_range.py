"""The average and range method: the printed example digit by digit, and the ends of its range."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bmsctl.analysis.grr.average_range import K1, K, Ranges, average_range, components, ranges_of
from bmsctl.analysis.grr.study import Study, StudyError
from tests.support.strd.aiag import example

PRINTED = Ranges(repeatability=0.3417, appraisers=0.4446, parts=3.511)
"""As the form prints them: the appraisers' means are rounded to 0.1903 and -0.2543 before they are subtracted."""


def test_the_ranges_of_the_example() -> None:
    study = example()
    found = ranges_of(study)
    assert round(found.repeatability, 4) == PRINTED.repeatability
    assert round(found.parts, 3) == PRINTED.parts
    means = study.values.mean(axis=(0, 2)).round(4).tolist()
    assert means == [0.1903, 0.0683, -0.2543]
    assert round(max(means) - min(means), 4) == PRINTED.appraisers


def test_every_printed_digit_of_the_example() -> None:
    found = components(PRINTED, 10, 3, 3)
    printed = {"ev": 0.20188, "av": 0.22963, "grr": 0.30575, "pv": 1.10456, "tv": 1.14610}
    for name, value in printed.items():
        assert round(getattr(found, name), 5) == value, name
    shares = [100.0 * getattr(found, name) / found.tv for name in ("ev", "av", "grr", "pv")]
    assert [round(share, 2) for share in shares] == [17.61, 20.04, 26.68, 96.38]
    assert round(found.percent_grr, 2) == 26.68
    assert round(1.41 * found.pv / found.grr, 3) == 5.094
    assert found.ndc == 5


def test_the_example_without_the_forms_rounding() -> None:
    found = average_range(example())
    printed = {"ev": 0.20188, "av": 0.22963, "grr": 0.30575, "pv": 1.10456, "tv": 1.14610}
    for name, value in printed.items():
        assert getattr(found, name) == pytest.approx(value, abs=5e-5), name
    assert round(found.percent_grr, 2) == 26.68
    assert found.ndc == 5


@pytest.mark.parametrize(("table", "exponent"), [(K, 1), (K1, 0)])
def test_constants_are_the_reciprocal_of_the_mean_range(table: dict[int, float], exponent: int) -> None:
    """d2 is the mean range of so many normal values; d2* of one sample is sqrt(d2^2 + d3^2)."""
    rng = np.random.default_rng(1)
    for size, constant in table.items():
        ranges = np.ptp(rng.standard_normal((100_000, size)), axis=1)
        expected = math.sqrt(np.mean(ranges**2)) if exponent else np.mean(ranges)
        assert constant == pytest.approx(1.0 / expected, rel=6e-3), size


def study_of(values: object) -> Study:
    array = np.array(values, np.float64)
    return Study([f"p{i}" for i in range(array.shape[0])], [f"a{i}" for i in range(array.shape[1])], array)


def test_parts_that_are_alike_leave_no_category() -> None:
    found = average_range(study_of([[[1.0, 1.1], [1.0, 1.1]], [[1.0, 1.1], [1.0, 1.1]]]))
    assert (found.pv, found.ndc, found.percent_grr) == (0.0, 0, 100.0)


def test_a_system_without_variation_is_not_judged() -> None:
    found = average_range(study_of([[[1.0, 1.0]], [[2.0, 2.0]]]))
    assert (found.grr, found.ndc, found.percent_grr) == (0.0, None, 0.0)
    dead = average_range(study_of([[[1.0, 1.0]], [[1.0, 1.0]]]))
    assert dead.ndc is None
    assert math.isnan(dead.percent_grr)


def test_one_appraiser_has_no_reproducibility() -> None:
    found = average_range(study_of([[[1.0, 1.1]], [[2.0, 2.3]], [[3.0, 3.1]]]))
    assert found.av == 0.0
    assert found.ev == found.grr == pytest.approx(0.5 / 3.0 * 0.8862)


def test_appraisers_within_repeatability_have_none_either() -> None:
    found = average_range(study_of([[[1.0, 2.0], [1.1, 2.0]], [[3.0, 4.0], [3.0, 4.1]]]))
    assert found.av == 0.0


@pytest.mark.parametrize("shape", [(16, 3, 3), (10, 16, 3), (10, 3, 6)])
def test_more_than_there_are_constants_for(shape: tuple[int, int, int]) -> None:
    with pytest.raises(StudyError, match="use --method anova"):
        average_range(study_of(np.zeros(shape)))
