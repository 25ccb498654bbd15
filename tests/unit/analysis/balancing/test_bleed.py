"""Bleed times against a cell drained second by second; shortest times against a program over every set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.balancing.bleed import (
    HOUR_S,
    Cells,
    bleed_power,
    bleed_times,
    bleed_to_level,
    shortest_time,
)
from bmsctl.analysis.balancing.ocv import F64, BalancingError, Curve
from tests.reference.balancing import drained_s, level_soc, shortest_time_by_sets
from tests.unit.analysis.balancing.curves import CURVES, FLAT, PARTIAL, STEEP, pack


def times(curve: Curve, cells: Cells, level: float) -> F64:
    bleed_s = np.empty(len(cells.soc))
    bleed_times(*cells, level, curve.pieces, curve.first_piece, curve.steps, bleed_s)
    return bleed_s


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("level", [1.0, 0.7])
def test_bleed_times_are_those_of_a_drained_cell(name: str, level: float) -> None:
    curve = CURVES[name]
    cells = pack(6, 1, curve)
    found = bleed_to_level(curve, cells, level)
    assert found.soc == pytest.approx(level_soc(cells.capacity_ah, cells.soc, level), abs=1e-12)
    step_s = 50.0
    for i in range(6):
        twin_s = drained_s(
            curve.soc, curve.voltage_v, cells.capacity_ah[i], cells.bleed_ohm[i], cells.soc[i], found.soc[i], step_s
        )
        assert found.bleed_s[i] == pytest.approx(twin_s, abs=1.5 * step_s)


def test_a_flat_curve_bleeds_with_one_current() -> None:
    cells = Cells(np.array([100.0, 100.0]), np.array([0.6, 0.4]), np.array([33.0, 33.0]))
    found = bleed_to_level(FLAT, cells, 0.5)
    assert found.bleed_s[0] == pytest.approx(0.2 * 100.0 * HOUR_S * 33.0 / 3.3, rel=1e-13)
    assert found.bleed_s[1] == 0.0


@pytest.mark.parametrize("level", [1.0, 0.6])
def test_the_cell_that_lacks_most_is_not_bled(level: float) -> None:
    cells = pack(40, 2)
    found = bleed_to_level(STEEP, cells, level)
    most = int(np.argmax(cells.capacity_ah * (level - cells.soc)))
    assert found.bleed_s[most] == 0.0
    assert np.count_nonzero(found.bleed_s) == 39
    lacking_ah = cells.capacity_ah * (level - found.soc)
    assert lacking_ah == pytest.approx(np.full(40, lacking_ah[most]), abs=1e-9)


@pytest.mark.parametrize("below", [0.0, 0.1])
def test_at_or_below_the_lowest_soc_all_are_bled_to_it(below: float) -> None:
    cells = pack(10, 3)
    level = float(np.min(cells.soc)) - below
    assert bleed_to_level(STEEP, cells, level).soc == pytest.approx(np.full(10, level), abs=1e-12)


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
def test_one_impossible_value_leaves_no_time(column: int, value: float) -> None:
    cells = pack(5, 4)
    cells[column][2] = value
    assert np.isnan(times(STEEP, cells, 1.0)).all()
    with pytest.raises(BalancingError, match=r"^cell 3: capacity"):
        bleed_to_level(STEEP, cells, 1.0)


@pytest.mark.parametrize("level", [np.nan, np.inf, -0.1, 1.1])
def test_an_impossible_level_is_refused(level: float) -> None:
    with pytest.raises(BalancingError, match="level"):
        bleed_to_level(STEEP, pack(3, 5), level)


def test_a_cell_that_cannot_lose_enough_is_named() -> None:
    cells = Cells(np.array([100.0, 100.0, 100.0]), np.array([0.5, 0.3, 0.89]), np.full(3, 33.0))
    cells.capacity_ah[0] = 60.0
    assert np.isnan(times(PARTIAL, cells, 1.0)).tolist() == [True, False, False]
    with pytest.raises(BalancingError, match=r"^cell 1 would .* below SOC 0.2.* because cell 2 lacks"):
        bleed_to_level(PARTIAL, cells, 1.0)


def test_no_cell_and_one_cell() -> None:
    none = Cells(np.empty(0), np.empty(0), np.empty(0))
    assert len(bleed_to_level(STEEP, none, 1.0).bleed_s) == 0
    assert bleed_to_level(STEEP, pack(1, 6), 1.0).bleed_s.tolist() == [0.0]


def test_arrays_need_not_be_contiguous() -> None:
    cells = pack(12, 7)
    strided = Cells(*(np.repeat(values, 3)[::3] for values in cells))
    np.testing.assert_array_equal(times(STEEP, strided, 1.0), times(STEEP, cells, 1.0))
    turned = Cells(*(values[::-1] for values in cells))
    np.testing.assert_array_equal(times(STEEP, turned, 1.0)[::-1], times(STEEP, cells, 1.0))


def test_power_is_that_of_the_first_moment() -> None:
    cells = Cells(np.array([100.0]), np.array([0.5]), np.array([33.0]))
    assert bleed_power(STEEP, cells) == pytest.approx([3.65**2 / 33.0])


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("at_once", [1, 2, 3, 9])
def test_the_shortest_time_is_that_of_the_best_mix_of_sets(at_once: int, apart: bool) -> None:
    random = np.random.default_rng(at_once)
    for _ in range(10):
        cells = int(random.integers(1, 9))
        bleed_s = random.exponential(1e4, cells) * (random.random(cells) < 0.8)
        found = shortest_time(bleed_s, np.array([0, cells]), at_once, apart)
        assert found == pytest.approx(shortest_time_by_sets(bleed_s, at_once, apart), rel=1e-7)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 1e6), min_size=2, max_size=12), st.integers(1, 5), st.booleans(), st.data())
def test_the_pack_waits_for_its_slowest_chip(
    bleed: list[float], at_once: int, apart: bool, data: st.DataObject
) -> None:
    bleed_s, cut = np.array(bleed), data.draw(st.integers(1, len(bleed) - 1))
    parts = [shortest_time(part, np.array([0, len(part)]), at_once, apart) for part in (bleed_s[:cut], bleed_s[cut:])]
    assert shortest_time(bleed_s, np.array([0, cut, len(bleed)]), at_once, apart) == max(parts)
    assert shortest_time(bleed_s, np.array([0, len(bleed)]), at_once, apart) >= max(parts)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_no_shortest_time_of_what_is_no_time(value: float) -> None:
    assert np.isnan(shortest_time(np.array([1.0, value, 3.0]), np.array([0, 3]), 2, True))


def test_nothing_takes_no_time() -> None:
    assert shortest_time(np.empty(0), np.array([0]), 1, True) == 0.0
    assert shortest_time(np.zeros(3), np.array([0, 3]), 1, True) == 0.0
