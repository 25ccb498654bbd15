"""As many packs as there can be, in small lots by proof, in large ones to one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.matching.modules import F64, Matching, MatchingError
from bmsctl.analysis.matching.most_packs import match_windows
from bmsctl.analysis.matching.windows import Windows
from tests.reference.matching import keeps, most_packs, spread
from tests.unit.analysis.matching.lots import lot


def require_right(found: Matching, capacity: F64, dcir: F64, windows: tuple[float, float]) -> None:
    """Each module once, each pack within the windows, no more packs than the bound."""
    assert sorted([*found.packs.ravel(), *found.left_over]) == list(range(len(capacity)))
    for values, window in zip((capacity, dcir), windows, strict=True):
        assert all(keeps(values[pack].tolist(), window) for pack in found.packs)
    assert len(found.packs) <= found.bound


@pytest.mark.parametrize("windows", [(0.008, 0.04), (0.015, 0.03), (0.02, np.inf), (np.inf, 0.03)])
@pytest.mark.parametrize(("count", "group"), [(14, 2), (15, 3), (16, 4)])
@pytest.mark.parametrize("seed", [1, 2])
def test_small_lots_make_all_packs_there_can_be(
    count: int, group: int, windows: tuple[float, float], seed: int
) -> None:
    capacity, dcir = lot(count, seed)
    found = match_windows(capacity, dcir, group, Windows(*windows))
    require_right(found, capacity, dcir, windows)
    exact = most_packs([capacity.tolist(), dcir.tolist()], group, windows)
    assert len(found.packs) == exact <= found.bound
    if exact:
        twin = spread([capacity.tolist(), dcir.tolist()], found.packs.tolist())
        assert found.spread == pytest.approx(twin, rel=1e-9)


@pytest.mark.parametrize(("count", "group"), [(200, 4), (200, 12), (2000, 4), (2000, 12)])
@pytest.mark.parametrize("seed", [10, 11])
def test_large_lots_are_at_most_one_below_the_bound(count: int, group: int, seed: int) -> None:
    capacity, dcir = lot(count, seed)
    found = match_windows(capacity, dcir, group, Windows(0.008, 0.04))
    require_right(found, capacity, dcir, (0.008, 0.04))
    assert len(found.packs) >= found.bound - 1
    assert found.bound <= count // group


def test_without_limits_all_packs_are_made() -> None:
    found = match_windows(*lot(14, 3), 4, Windows(np.inf, np.inf))
    assert len(found.packs) == found.bound == 3


def test_a_window_of_zero_takes_modules_that_are_alike() -> None:
    capacity, dcir = np.array([2.0, 1.0, 2.0, 1.0, 2.0]), np.ones(5)
    found = match_windows(capacity, dcir, 2, Windows(0.0, 0.0))
    assert found.packs.tolist() == [[0, 2], [1, 3]]
    assert found.bound == 2
    assert found.spread == 0.0


def test_no_pack_has_no_spread() -> None:
    found = match_windows([1.0, 2.0, 4.0], [1.0, 1.0, 1.0], 2, Windows(0.1, 0.1))
    assert (len(found.packs), found.left_over.tolist(), found.bound) == (0, [0, 1, 2], 0)
    assert np.isnan(found.spread)


def test_a_value_or_window_that_is_none_is_refused() -> None:
    with pytest.raises(MatchingError, match="module 2 has a capacity of nan"):
        match_windows([1.0, np.nan], [1.0, 1.0], 2, Windows(0.1, 0.1))
    with pytest.raises(MatchingError, match="a window of nan is none"):
        match_windows([1.0, 1.0], [1.0, 1.0], 2, Windows(0.1, np.nan))


def test_the_same_again_and_from_what_is_not_contiguous() -> None:
    capacity, dcir = lot(90, 5)
    windows = Windows(0.003, 0.015)
    plain = match_windows(capacity, dcir, 4, windows)
    wide = np.repeat(capacity, 3)[::3]
    for found in (match_windows(wide, dcir, 4, windows), match_windows(list(capacity), list(dcir), 4, windows)):
        np.testing.assert_array_equal(found.packs, plain.packs)
        assert found.bound == plain.bound


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(20, 40), st.integers(20, 40)), min_size=4, max_size=12),
    st.integers(2, 4),
    st.tuples(st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.5]), st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.5])),
)
def test_any_lot_and_windows(values: list[tuple[int, int]], group: int, windows: tuple[float, float]) -> None:
    capacity, dcir = np.array(values, np.float64).T.copy()
    found = match_windows(capacity, dcir, group, Windows(*windows))
    require_right(found, capacity, dcir, windows)
    exact = most_packs([capacity.tolist(), dcir.tolist()], group, windows)
    assert len(found.packs) <= exact <= found.bound
    assert len(found.packs) >= exact - 1
