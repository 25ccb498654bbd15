"""The module fingerprint against its twin, and on packs as they are built."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.fingerprint import CLIP_SIGMAS, F64, Match, compare_modules
from tests.reference.fingerprint import exchange_ratios

NOISE_V, ODDS = 1.1e-3, 300.0


def pack(seed: int, modules: int = 4, cells: int = 24) -> tuple[F64, F64]:
    """Incoming and measured volts: cells 1 mV apart, remeasured 16 days later within 1 mV, each module sagged."""
    random = np.random.default_rng(seed)
    incoming_v = 3.6 + 1e-3 * random.standard_normal((modules, cells))
    sag_v = 4e-3 + 1e-3 * random.standard_normal((modules, 1))
    return incoming_v, incoming_v - sag_v + 1e-3 * random.standard_normal((modules, cells))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), modules=st.integers(2, 5), cells=st.integers(1, 12), silent=st.integers(0, 6))
def test_agrees_with_the_twin(seed: int, modules: int, cells: int, silent: int) -> None:
    incoming_v, measured_v = pack(seed, modules, cells)
    measured_v.flat[np.random.default_rng(seed).integers(0, measured_v.size, silent)] = np.nan
    twin = exchange_ratios(incoming_v.tolist(), measured_v.tolist(), NOISE_V, CLIP_SIGMAS)
    found = compare_modules(incoming_v, measured_v, NOISE_V, ODDS)
    assert found.log_ratio == pytest.approx(max(twin.values()), abs=1e-9)
    assert twin[found.slots] == pytest.approx(found.log_ratio, abs=1e-9)


def test_the_ratio_of_two_modules_by_hand() -> None:
    """Patterns (-1, 0, 1) and (0, 0, 0) mV: as recorded no difference, exchanged four of 1 sigma, ratio -2."""
    incoming_v = np.array([[3.599, 3.600, 3.601], [3.5, 3.5, 3.5]])
    found = compare_modules(incoming_v, incoming_v - 0.1, 1e-3, ODDS)
    assert (found.match, found.slots) == (Match.NOT_DISTINGUISHABLE, (1, 2))
    assert found.log_ratio == pytest.approx(-2.0)


def test_good_packs_are_never_contradicted_and_mostly_confirmed() -> None:
    found = [compare_modules(*pack(seed), NOISE_V, ODDS).match for seed in range(500)]
    assert Match.CONTRADICTED not in found
    assert found.count(Match.CONFIRMED) > 480


@pytest.mark.parametrize("slots", list(combinations((1, 2, 3, 4), 2)))
def test_exchanged_modules_are_named(slots: tuple[int, int]) -> None:
    one, other = slots[0] - 1, slots[1] - 1
    named = 0
    for seed in range(100):
        incoming_v, measured_v = pack(seed)
        incoming_v[[one, other]] = incoming_v[[other, one]]
        found = compare_modules(incoming_v, measured_v, NOISE_V, ODDS)
        assert found.match is not Match.CONFIRMED
        named += found.match is Match.CONTRADICTED and found.slots == slots
    assert named >= 98


def test_modules_all_alike_are_not_distinguishable() -> None:
    same = np.full((4, 24), 3.6)
    assert compare_modules(same, same, NOISE_V, ODDS).match is Match.NOT_DISTINGUISHABLE


@pytest.mark.parametrize("offset_v", [-1.0, -0.02, 0.02, 1.0])
def test_one_wrong_value_decides_nothing(offset_v: float) -> None:
    """A cell that has discharged, or an incoming value mistyped: the verdict is that of the other cells."""
    for seed in range(50):
        incoming_v, measured_v = pack(seed)
        measured_v[2, 7] += offset_v
        assert compare_modules(incoming_v, measured_v, NOISE_V, ODDS).match is not Match.CONTRADICTED
        incoming_v[[0, 2]] = incoming_v[[2, 0]]
        assert compare_modules(incoming_v, measured_v, NOISE_V, ODDS).match is not Match.CONFIRMED


def test_a_cell_without_value_is_skipped_and_a_module_without_any_says_nothing() -> None:
    incoming_v, measured_v = pack(1)
    measured_v[0, :3] = np.nan
    assert compare_modules(incoming_v, measured_v, NOISE_V, ODDS).match is Match.CONFIRMED
    measured_v[:] = np.nan
    assert compare_modules(incoming_v, measured_v, NOISE_V, ODDS) == (Match.NOT_DISTINGUISHABLE, (1, 2), 0.0)


def test_the_odds_decide() -> None:
    incoming_v, measured_v = pack(1)
    ratio = -compare_modules(incoming_v, measured_v, NOISE_V, ODDS).log_ratio
    assert compare_modules(incoming_v, measured_v, NOISE_V, math.exp(ratio - 1.0)).match is Match.CONFIRMED
    assert compare_modules(incoming_v, measured_v, NOISE_V, math.exp(ratio + 1.0)).match is Match.NOT_DISTINGUISHABLE
