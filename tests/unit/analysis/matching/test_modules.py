"""Values are checked, z-scored, and their spread is that of the definition."""

from __future__ import annotations

import numpy as np
import pytest

from bmsctl.analysis.matching.modules import MatchingError, checked, spread_of, told, z_scores
from tests.reference.matching import spread, z_scored
from tests.unit.analysis.matching.lots import lot


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0])
@pytest.mark.parametrize("column", [0, 1])
def test_a_value_that_is_none_is_refused_by_its_place(value: float, column: int) -> None:
    columns = np.array(lot(6, 1))
    columns[column, 3] = value
    name = ("capacity", "resistance")[column]
    with pytest.raises(MatchingError, match=f"module 4 has a {name} of {value:g}"):
        checked(*columns, 2)


@pytest.mark.parametrize("group", [-1, 0, 1, 7])
def test_a_pack_has_two_modules_or_more_and_no_more_than_there_are(group: int) -> None:
    with pytest.raises(MatchingError, match=f"6 modules make no pack of {group}"):
        checked(*lot(6, 1), group)


def test_empty_and_unequal_lists_are_refused() -> None:
    with pytest.raises(MatchingError, match="0 modules make no pack of 2"):
        checked([], [], 2)
    with pytest.raises(MatchingError, match="two lists of equal length"):
        checked([1.0, 2.0], [1.0], 2)
    with pytest.raises(MatchingError, match="two lists of equal length"):
        checked([[1.0, 2.0]], [[1.0, 2.0]], 2)


def test_z_scores_are_those_of_the_population() -> None:
    columns = lot(9, 3)
    np.testing.assert_allclose(z_scores(*columns).T, z_scored([list(column) for column in columns]), rtol=1e-12)


def test_a_column_without_variance_is_zero() -> None:
    capacity, dcir = lot(7, 3)
    assert not z_scores(np.full(7, 0.1), dcir)[:, 0].any()
    assert not z_scores(capacity, np.full(7, 0.1))[:, 1].any()


def test_the_spread_is_that_of_the_modules_in_packs() -> None:
    columns = lot(9, 4)
    packs = np.array([[0, 5, 2], [8, 1, 3]])
    twin = spread([list(column) for column in columns], packs.tolist())
    assert spread_of(z_scores(*columns), packs) == pytest.approx(twin, rel=1e-12)
    assert np.isnan(spread_of(z_scores(*columns), np.empty((0, 3), np.int64)))


def test_a_matching_is_told_in_order() -> None:
    found = told(np.array([[5, 1], [4, 0]]), 6, np.zeros((6, 2)), 2.0)
    assert found.packs.tolist() == [[0, 4], [1, 5]]
    assert found.left_over.tolist() == [2, 3]
