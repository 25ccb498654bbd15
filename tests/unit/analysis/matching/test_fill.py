"""Packs keep the windows, opening some never costs one, and the interpreter makes the same."""

from __future__ import annotations

import numpy as np
import pytest

from bmsctl.analysis.matching.draws import SEED
from bmsctl.analysis.matching.fill import around, fill, fill_local, open_some, refill
from bmsctl.analysis.matching.modules import I64
from bmsctl.analysis.matching.windows import Windows, count_companions
from tests.reference.matching import keeps
from tests.unit.analysis.matching.lots import lot

WINDOWS = Windows(0.004, 0.02)


@pytest.mark.parametrize("group", [2, 4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_packs_keep_the_windows_and_are_made_again_alike(group: int, seed: int) -> None:
    capacity, dcir = lot(60, seed)
    order = np.argsort(capacity)
    capacity, dcir, keep = capacity[order], dcir[order], WINDOWS.keep()
    companions = np.empty(60, np.int64)
    count_companions(capacity, dcir, keep, companions)
    results: list[list[object]] = []
    for first, second in ((fill, refill), (fill.py_func, refill.py_func)):
        pack = np.full(60, -1)
        made = first(
            capacity,
            dcir,
            companions.astype(float),
            np.argsort(companions, kind="stable"),
            group,
            tuple(WINDOWS),
            keep,
            (250.0, 50.0),
            16,
            pack,
        )
        require(pack, made, group, capacity, dcir)
        more = second(capacity, dcir, companions, group, tuple(WINDOWS), keep, 40, 60, 16, pack, made, SEED)
        require(pack, more, group, capacity, dcir)
        assert more >= made
        results.append([made, more, pack.tolist()])
    assert results[0] == results[1]
    for kernel in (fill, refill, open_some, around, fill_local):
        assert kernel.targetoptions["nogil"]


def require(pack: I64, made: int, group: int, *columns: np.ndarray) -> None:
    """Packs 0 to `made` - 1, each whole and within the windows."""
    assert set(pack.tolist()) - {-1} == set(range(made))
    for number in range(made):
        members = np.flatnonzero(pack == number)
        assert len(members) == group
        for values, window in zip(columns, WINDOWS, strict=True):
            assert keeps(values[members].tolist(), window)


def test_the_end_is_at_the_target() -> None:
    capacity, dcir = np.full(8, 1.0), np.full(8, 1.0)
    pack = np.array([0, 0, -1, -1, -1, -1, -1, -1])
    keep, companions = WINDOWS.keep(), np.full(8, 7)
    assert refill(capacity, dcir, companions, 2, tuple(WINDOWS), keep, 99, 3, 16, pack, 1, SEED) == 3
    assert np.count_nonzero(pack < 0) == 2
