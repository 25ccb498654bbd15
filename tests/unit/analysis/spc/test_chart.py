"""The individuals chart by hand."""

from __future__ import annotations

import math

import pytest

from bmsctl.analysis.spc.chart import individuals_chart

SERIES = [10.0, 12.0, 11.0, 13.0, 9.0]
"""Moving ranges 2, 1, 2, 4: their mean is 2.25; the mean is 11."""


def test_by_hand() -> None:
    found = individuals_chart(SERIES, 5.0, 15.0)
    assert (found.n, found.missing, found.mean) == (5, 0, 11.0)
    assert found.sd_within == pytest.approx(2.25 / 1.128)
    assert found.sd_overall == pytest.approx(math.sqrt(2.5))
    assert (found.lcl, found.ucl) == pytest.approx((11.0 - 2.66 * 2.25, 11.0 + 2.66 * 2.25))
    assert found.cp == pytest.approx(10.0 / (6.0 * 2.25 / 1.128))
    assert found.cpk == pytest.approx(4.0 / (3.0 * 2.25 / 1.128))
    assert found.pp == pytest.approx(10.0 / (6.0 * math.sqrt(2.5)))
    assert found.ppk == pytest.approx(4.0 / (3.0 * math.sqrt(2.5)))


def test_without_limits_there_is_no_capability() -> None:
    found = individuals_chart(SERIES)
    assert all(math.isnan(value) for value in (found.cp, found.cpk, found.pp, found.ppk))
    assert found.ucl > found.mean > found.lcl


def test_with_one_limit() -> None:
    found = individuals_chart(SERIES, upper=15.0)
    assert math.isnan(found.cp)
    assert math.isnan(found.pp)
    assert found.cpk == pytest.approx(4.0 / (3.0 * 2.25 / 1.128))


@pytest.mark.parametrize("values", [[], [math.nan], [3.0]])
def test_too_few_values_have_no_limits(values: list[float]) -> None:
    found = individuals_chart(values, 0.0, 5.0)
    assert found.n + found.missing == len(values)
    assert all(math.isnan(value) for value in (found.sd_within, found.cpk, found.ppk, found.lcl, found.ucl))
    assert found.rule_hits == {}


def test_rule_1_is_what_lies_beyond_the_limits_drawn() -> None:
    values = [0.0, 1.0] * 20 + [3.5] + [0.0, 1.0] * 20
    found = individuals_chart(values)
    beyond = [place for place, value in enumerate(values) if not found.lcl <= value <= found.ucl]
    assert found.rule_hits[1] == beyond == [40]
