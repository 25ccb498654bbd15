"""All modules into packs: near the exact optimum, far below sorting, above the bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.matching.draws import SEED
from bmsctl.analysis.matching.least_spread import exchange, match_all, split, spread_bound
from bmsctl.analysis.matching.modules import F64, MatchingError, spread_of, z_scores
from bmsctl.analysis.matching.neighbours import nearest_neighbours
from tests.reference.matching import least_spread, spread
from tests.unit.analysis.matching.lots import lot


def sliced(capacity: F64, dcir: F64, group: int) -> float:
    """Spread of sorting by capacity and slicing."""
    packs = np.argsort(capacity)[: len(capacity) // group * group].reshape(-1, group)
    return spread_of(z_scores(capacity, dcir), packs)


@pytest.mark.parametrize(("count", "group"), [(8, 2), (9, 4), (11, 3), (12, 4), (13, 6), (16, 4), (6, 6), (7, 6)])
@pytest.mark.parametrize("seed", [1, 2])
def test_small_lots_are_matched_best_and_the_bound_holds(count: int, group: int, seed: int) -> None:
    columns = lot(count, seed)
    found = match_all(*columns, group)
    exact = least_spread([list(column) for column in columns], group)
    assert found.spread == pytest.approx(exact, rel=1e-9)
    assert 0.0 < found.bound <= exact
    assert found.spread == pytest.approx(spread([list(each) for each in columns], found.packs.tolist()), rel=1e-9)
    assert sorted([*found.packs.ravel(), *found.left_over]) == list(range(count))
    assert found.packs.shape == (count // group, group)


def test_one_pack_of_all_is_its_own_bound() -> None:
    found = match_all(*lot(7, 1), 7)
    assert found.bound == pytest.approx(found.spread, rel=1e-9)
    assert found.bound <= found.spread


@pytest.mark.parametrize(("count", "group", "share"), [(203, 4, 1 / 3), (2000, 4, 1 / 3), (2000, 12, 0.55)])
def test_the_spread_is_a_small_part_of_that_of_sorting(count: int, group: int, share: float) -> None:
    capacity, dcir = lot(count, 5)
    found = match_all(capacity, dcir, group)
    assert 0.6 * found.spread < found.bound < found.spread < share * sliced(capacity, dcir, group)


def test_what_fits_nowhere_is_left_over() -> None:
    capacity, dcir = lot(42, 6)
    capacity[[7, 30]] *= 1.5, 0.5
    assert match_all(capacity, dcir, 4).left_over.tolist() == [7, 30]


def test_modules_alike_have_no_spread() -> None:
    found = match_all(np.full(9, 157.1), np.full(9, 1e-3), 4)
    assert (found.spread, found.bound, len(found.packs)) == (0.0, 0.0, 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=2, max_size=14), st.integers(2, 5))
def test_any_lot_is_matched_and_never_below_the_bound(values: list[tuple[int, int]], group: int) -> None:
    capacity, dcir = np.array(values, np.float64).T
    if len(values) < group:
        with pytest.raises(MatchingError):
            match_all(capacity, dcir, group)
        return
    found = match_all(capacity, dcir, group)
    assert sorted([*found.packs.ravel(), *found.left_over]) == list(range(len(values)))
    assert found.bound <= found.spread


def test_the_bound_takes_the_cheapest_modules() -> None:
    squared = np.array([[1.0, 2.0], [4.0, 9.0], [1.0, 1.0], [0.5, 1.0]])
    assert spread_bound(squared, 3) == pytest.approx(np.sqrt((3.0 + 2.0 + 1.5) / 6.0 / 6.0))


def test_lists_and_what_is_not_contiguous_give_the_same() -> None:
    capacity, dcir = lot(40, 7)
    plain = match_all(capacity, dcir, 4)
    wide = np.repeat(capacity, 2)[::2]
    for found in (match_all(list(capacity), list(dcir), 4), match_all(wide, dcir, 4)):
        np.testing.assert_array_equal(found.packs, plain.packs)
        assert found.spread == plain.spread


@pytest.mark.parametrize("count", [24, 26])
def test_exchanges_are_the_same_compiled_and_interpreted(count: int) -> None:
    points = z_scores(*lot(count, 8))
    partners, squared = nearest_neighbours(points, 8)
    start = split(points, squared[:, :3], 4)
    found = [start.copy(), start.copy()]
    for kernel, slots in zip((exchange, exchange.py_func), found, strict=True):
        kernel(points, slots, count // 4, 4, partners, 5000, 3.0, SEED)
    np.testing.assert_array_equal(*found)
    assert not np.array_equal(found[0], start)
    assert exchange.targetoptions["nogil"]
    assert not exchange.targetoptions.get("fastmath", False)


def test_the_split_takes_halves_of_whole_packs() -> None:
    points = np.array([[float(x), 0.0] for x in (9, 1, 8, 2, 0, 7, 30)])
    slots = split(points, nearest_neighbours(points, 2)[1], 3)
    assert [sorted(slots[:3].tolist()), sorted(slots[3:6].tolist()), slots[6:].tolist()] == [[1, 3, 4], [0, 2, 5], [6]]
