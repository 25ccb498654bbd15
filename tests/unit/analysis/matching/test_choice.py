"""The pack around a module is one that keeps the windows, with the hardest modules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bmsctl.analysis.matching.choice import choose_pack, companions_of, hardest, nearest_of
from bmsctl.analysis.matching.windows import Windows
from tests.reference.matching import keeps
from tests.unit.analysis.matching.lots import lot

WINDOWS = Windows(0.008, 0.04)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("group", [2, 3, 4])
def test_a_pack_is_found_when_there_is_one(seed: int, group: int) -> None:
    capacity, dcir = lot(12, seed)
    order = np.argsort(capacity)
    capacity, dcir = capacity[order], dcir[order]
    ease = np.random.default_rng(seed).uniform(1.0, 2.0, 12)
    everyone, chosen, again = np.arange(12), np.empty(group, np.int64), np.empty(group, np.int64)
    for one in range(12):
        totals = [
            sum(ease[module] for module in rest)
            for rest in itertools.combinations([module for module in everyone if module != one], group - 1)
            if keeps(capacity[[one, *rest]].tolist(), WINDOWS.capacity)
            and keeps(dcir[[one, *rest]].tolist(), WINDOWS.dcir)
        ]
        found = choose_pack(capacity, dcir, ease, everyone, one, tuple(WINDOWS), WINDOWS.keep(), chosen)
        assert found == choose_pack.py_func(capacity, dcir, ease, everyone, one, tuple(WINDOWS), WINDOWS.keep(), again)
        assert found == bool(totals)
        if found:
            np.testing.assert_array_equal(chosen, again)
            assert one in chosen
            assert len(set(chosen.tolist())) == group
            assert keeps(capacity[chosen].tolist(), WINDOWS.capacity)
            assert keeps(dcir[chosen].tolist(), WINDOWS.dcir)
            assert np.sum(ease[chosen]) - ease[one] == pytest.approx(min(totals))


def test_candidates_are_the_free_companions_and_then_the_nearest() -> None:
    capacity = np.array([100.0, 100.1, 100.2, 100.3, 100.4, 120.0])
    dcir, pack = np.ones(6), np.array([-1, -1, 0, -1, -1, -1])
    found = np.empty(6, np.int64)
    count = companions_of(capacity, dcir, pack, 3, WINDOWS.keep(), found)
    assert found[:count].tolist() == [0, 1, 3, 4]
    kept = nearest_of(capacity, dcir, found, count, 3, (1.0, 1.0), 3)
    assert found[:kept].tolist() == [1, 3, 4]


def test_the_lock_of_the_interpreter_is_released() -> None:
    for kernel in (choose_pack, companions_of, hardest, nearest_of):
        assert kernel.targetoptions["nogil"]
        assert not kernel.targetoptions.get("fastmath", False)
