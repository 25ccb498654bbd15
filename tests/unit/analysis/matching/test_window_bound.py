"""Prices prove a bound: never below the exact number of packs, near the linear program's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bmsctl.analysis.matching import window_bound
from bmsctl.analysis.matching.modules import F64, I64
from bmsctl.analysis.matching.window_bound import cheapest, lower_prices, most_packs_bound, rectangles
from bmsctl.analysis.matching.windows import Windows, count_companions
from tests.reference.matching import possible_packs, window_model
from tests.unit.analysis.matching.lots import lot


def ascending(count: int, seed: int) -> tuple[F64, F64]:
    capacity, dcir = lot(count, seed)
    order = np.argsort(capacity)
    return capacity[order], dcir[order]


def boxes(capacity: F64, dcir: F64, group: int, windows: Windows) -> tuple[I64, I64]:
    begins, members = np.zeros(5000, np.int64), np.empty(200_000, np.int64)
    count = rectangles(capacity, dcir, group, windows.keep(), begins, members)
    assert count >= 0
    return begins[: count + 1], members[: begins[count]]


@pytest.mark.parametrize("seed", range(3))
def test_every_possible_pack_is_in_a_rectangle(seed: int) -> None:
    windows = Windows(0.008, 0.04)
    capacity, dcir = ascending(16, seed)
    begins, members = boxes(capacity, dcir, 3, windows)
    inside = [set(members[a:b].tolist()) for a, b in itertools.pairwise(begins)]
    packs = list(possible_packs([capacity.tolist(), dcir.tolist()], 3, windows))
    assert packs
    assert all(any(box.issuperset(pack) for box in inside) for pack in packs)
    assert len(inside) < len({pack[0] for pack in packs}) ** 2


@pytest.mark.parametrize(("count", "group", "windows"), [(120, 4, (0.004, 0.02)), (90, 8, (0.008, 0.04))])
@pytest.mark.parametrize("seed", range(2))
def test_the_bound_is_near_that_of_the_linear_program(
    count: int, group: int, windows: tuple[float, float], seed: int
) -> None:
    capacity, dcir = ascending(count, seed)
    begins, members = boxes(capacity, dcir, group, Windows(*windows))
    price = np.zeros(count)
    price[members] = 1.0 / group
    least = lower_prices(begins, members, group, 300, 0.05, 0.0, price)
    best = window_model(capacity, dcir, group, windows)
    assert best * (1.0 - 1e-9) <= least <= best * 1.01


def test_compiled_and_interpreted_are_the_same() -> None:
    capacity, dcir = ascending(30, 4)
    windows = Windows(0.006, 0.03)
    begins, members = boxes(capacity, dcir, 3, windows)
    again, listed = np.zeros_like(begins), np.empty(5000, np.int64)
    assert rectangles.py_func(capacity, dcir, 3, windows.keep(), np.append(again, 0), listed) == len(begins) - 1
    np.testing.assert_array_equal(listed[: len(members)], members)
    prices = [np.full(30, 1.0 / 3.0), np.full(30, 1.0 / 3.0)]
    found = [
        kernel(begins, members, 3, 20, 0.05, 0.0, price)
        for kernel, price in zip((lower_prices, lower_prices.py_func), prices, strict=True)
    ]
    assert found[0] == found[1]
    np.testing.assert_array_equal(*prices)
    for kernel in (rectangles, lower_prices, cheapest):
        assert kernel.targetoptions["nogil"]


def test_too_many_modules_in_rectangles_leave_the_simple_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Windows(0.003, 0.015)
    capacity, dcir = ascending(200, 0)
    companions = np.empty(200, np.int64)
    count_companions(capacity, dcir, windows.keep(), companions)
    simple = np.count_nonzero(companions >= 11) // 12
    best = most_packs_bound(capacity, dcir, companions, 12, windows.keep(), 0)
    assert best < simple
    for name in ("ENTRIES_MAX", "LOOKS_MAX"):
        with monkeypatch.context() as patch:
            patch.setattr(window_bound, name, 40)
            assert most_packs_bound(capacity, dcir, companions, 12, windows.keep(), 0) == simple


def test_no_rectangle_is_no_pack() -> None:
    capacity, dcir = np.array([1.0, 2.0, 3.0]), np.ones(3)
    keep = Windows(0.1, 0.1).keep()
    begins, members = np.zeros(9, np.int64), np.empty(9, np.int64)
    assert rectangles(capacity, dcir, 2, keep, begins, members) == 0
    assert lower_prices(begins[:1], members[:0], 2, 9, 0.1, 0.0, np.zeros(3)) == 0.0
    assert most_packs_bound(capacity, dcir, np.zeros(3, np.int64), 2, keep, 0) == 0
