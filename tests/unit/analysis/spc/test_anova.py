"""The one-way analysis of variance against certified values and exact fractions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.analysis.spc.anova import GroupsError, one_way
from tests.reference.spc import exact_f
from tests.support.strd import SMLS

VALUES = st.integers(-1000, 1000).map(lambda tenths: tenths / 10)


@pytest.mark.parametrize("name", SMLS)
def test_certified_values(name: str) -> None:
    certified = SMLS[name]
    found = one_way(certified.groups)
    for field in ("between", "within", "f", "r_squared", "residual_sd"):
        assert getattr(found, field) == pytest.approx(getattr(certified, field), rel=1e-9), field
    assert (found.between_df, found.within_df) == (8, 9 * (len(certified.groups[0]) - 1))


@given(st.lists(st.lists(VALUES, min_size=2, max_size=6), min_size=2, max_size=5))
def test_agrees_with_fractions(groups: list[list[float]]) -> None:
    found = one_way(groups)
    if found.within > 1e-3:
        assert found.f == pytest.approx(exact_f(groups), rel=1e-9, abs=1e-12)


def test_nothing_scatters() -> None:
    assert math.isnan(one_way([[1.0, 1.0], [1.0, 1.0]]).f)
    assert one_way([[1.0, 1.0], [2.0, 2.0]]).f == math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_number_gives_no_figure(value: float) -> None:
    found = one_way([[1.0, 2.0], [value, 4.0]])
    assert all(math.isnan(figure) for figure in (found.f, found.between, found.within, found.residual_sd))


@pytest.mark.parametrize("groups", [[], [[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 2.0], []]])
def test_what_cannot_be_compared(groups: list[list[float]]) -> None:
    with pytest.raises(GroupsError, match="cannot be compared; give two groups"):
        one_way(groups)
