"""Neighbours are those of a search through all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from bmsctl.analysis.matching.neighbours import nearest, nearest_neighbours


@pytest.mark.parametrize(("points", "count"), [(2, 1), (5, 4), (40, 7), (300, 16)])
def test_distances_are_those_of_all_pairs(points: int, count: int) -> None:
    values = np.random.default_rng(points).normal(size=(points, 2))
    places, squared = nearest_neighbours(values, count)
    every = np.sum((values[:, None] - values[None]) ** 2, axis=2)
    np.fill_diagonal(every, np.inf)
    np.testing.assert_allclose(squared, np.sort(every, axis=1)[:, :count], rtol=1e-12)
    np.testing.assert_allclose(squared, np.take_along_axis(every, places, axis=1), rtol=1e-12)
    assert all(len(set(row)) == count for row in places.tolist())


def test_points_in_one_place_are_neighbours_of_each_other() -> None:
    places, squared = nearest_neighbours(np.zeros((5, 2)), 4)
    assert not squared.any()
    assert [sorted(row) for row in places.tolist()] == [[x for x in range(5) if x != one] for one in range(5)]


def test_compiled_interpreted_and_not_contiguous_are_the_same() -> None:
    wide = np.random.default_rng(2).normal(size=(30, 4))
    values = wide[:, ::2]
    places, squared = nearest_neighbours(values, 5)
    again, measured = np.empty_like(places), np.empty_like(squared)
    nearest.py_func(values, np.argsort(values[:, 0], kind="stable"), again, measured)
    np.testing.assert_array_equal(places, again)
    np.testing.assert_array_equal(squared, measured)
    assert nearest.targetoptions["nogil"]
