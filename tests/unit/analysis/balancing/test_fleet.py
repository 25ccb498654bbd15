"""Packs by the thousand: as one by one, the same bits on any number of threads."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest

from bmsctl.analysis.balancing import bleed, fleet
from bmsctl.analysis.balancing.fleet import Fleet, FleetTimes, Spread, fleet_makespans, fleet_times, monte_carlo
from bmsctl.analysis.balancing.ocv import F64, BalancingError
from bmsctl.analysis.balancing.plan import Rules
from tests.unit.analysis.balancing.curves import CURVES, STEEP

BEGINS = np.array([0, 5, 12])
RULES = Rules(3, True)
SPREAD = Spread(capacity_ah=(157.0, 1.5), soc=(0.6, 0.01), bleed_ohm=(33.0, 0.3))
KERNELS = ("bleed_times", "shortest_time", "chip_schedule", "fleet_kernel", "fleet_makespans")


def drawn(packs: int, seed: int = 1) -> Fleet:
    random = np.random.default_rng(seed)
    return Fleet(*(random.normal(mean, sd, (packs, 12)) for mean, sd in SPREAD))


def planned(packs: Fleet) -> FleetTimes:
    return fleet_times(STEEP, packs, np.ones(len(packs.soc)), BEGINS, RULES)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("kernel", [fleet.bleed_times, fleet.bleed_times.py_func])
def test_a_pack_in_a_fleet_is_a_pack(name: str, kernel: Callable[..., None]) -> None:
    curve, packs = CURVES[name], drawn(3)
    found = fleet_times(curve, packs, np.full(3, 0.9), BEGINS, RULES)
    for number in range(3):
        alone_s = np.empty(12)
        cells = bleed.Cells(*(values[number] for values in packs))
        kernel(*cells, 0.9, curve.pieces, curve.first_piece, curve.steps, alone_s)
        np.testing.assert_array_equal(found.bleed_s[number], alone_s)
        assert found.bound_s[number] == bleed.shortest_time(alone_s, BEGINS, *RULES)


def test_one_and_two_threads_give_the_same_bits() -> None:
    packs = drawn(301)
    results: list[tuple[bytes, ...]] = []
    before = numba.get_num_threads()
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            found, makespan_s = planned(packs), np.empty(301)
            fleet_makespans(found.bleed_s, BEGINS, *RULES, makespan_s)
            results.append((found.bleed_s.tobytes(), found.bound_s.tobytes(), makespan_s.tobytes()))
    finally:
        numba.set_num_threads(before)
    assert results[0] == results[1]


def test_every_makespan_is_its_bound() -> None:
    found, makespan_s = planned(drawn(200)), np.empty(200)
    fleet_makespans(found.bleed_s, BEGINS, *RULES, makespan_s)
    assert makespan_s == pytest.approx(found.bound_s, rel=1e-12)
    assert (found.bound_s > 0.0).all()


def test_an_interpreted_fleet_is_the_same() -> None:
    packs, level = drawn(2), np.ones(2)
    found, interpreted = planned(packs), FleetTimes(np.empty((2, 12)), np.empty(2))
    tables = (STEEP.pieces, STEEP.first_piece, STEEP.steps)
    fleet.fleet_kernel.py_func(*packs, level, *tables, BEGINS, *RULES, *interpreted)
    np.testing.assert_array_equal(interpreted.bleed_s, found.bleed_s)
    np.testing.assert_array_equal(interpreted.bound_s, found.bound_s)


def test_interpreted_makespans_are_the_same() -> None:
    found, compiled_s, interpreted_s = planned(drawn(2)), np.empty(2), np.empty(2)
    fleet_makespans(found.bleed_s, BEGINS, *RULES, compiled_s)
    fleet_makespans.py_func(found.bleed_s, BEGINS, *RULES, interpreted_s)
    np.testing.assert_array_equal(compiled_s, interpreted_s)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_pack_with_an_impossible_value_has_no_time_and_the_others_keep_theirs(value: float) -> None:
    packs = drawn(3)
    good = planned(packs)
    packs.soc[1, 4] = value
    found, makespan_s = planned(packs), np.empty(3)
    fleet_makespans(found.bleed_s, BEGINS, *RULES, makespan_s)
    for times_s in (found.bound_s, makespan_s):
        assert np.isnan(times_s).tolist() == [False, True, False]
    np.testing.assert_array_equal(found.bleed_s[::2], good.bleed_s[::2])


def test_no_pack_has_no_times() -> None:
    found = planned(drawn(0))
    assert found.bleed_s.shape == (0, 12)
    assert found.bound_s.shape == (0,)


def test_rows_need_not_be_contiguous() -> None:
    packs = drawn(8)
    strided = Fleet(*(np.asfortranarray(values) for values in packs))
    np.testing.assert_array_equal(planned(strided).bleed_s, planned(packs).bleed_s)


@pytest.mark.parametrize(
    ("level", "begins", "at_once"),
    [(np.ones(2), BEGINS, 3), (np.ones(3), np.array([0, 5]), 3), (np.ones(3), BEGINS, 0)],
)
def test_shapes_that_do_not_fit_are_refused(level: F64, begins: np.ndarray, at_once: int) -> None:
    with pytest.raises(BalancingError):
        fleet_times(STEEP, drawn(3), level, begins, Rules(at_once, True))


def test_monte_carlo_repeats_itself_and_grows_with_the_spread() -> None:
    once = monte_carlo(STEEP, SPREAD, 500, 1.0, BEGINS, RULES, seed=7)
    np.testing.assert_array_equal(once, monte_carlo(STEEP, SPREAD, 500, 1.0, BEGINS, RULES, seed=7))
    assert not np.array_equal(once, monte_carlo(STEEP, SPREAD, 500, 1.0, BEGINS, RULES, seed=8))
    wider = monte_carlo(STEEP, SPREAD._replace(soc=(0.6, 0.02)), 500, 1.0, BEGINS, RULES, seed=7)
    assert 1.5 < np.median(wider) / np.median(once) < 2.1


@pytest.mark.parametrize("name", KERNELS)
def test_the_lock_of_the_interpreter_is_released(name: str) -> None:
    options = getattr(fleet, name).targetoptions
    assert options["nogil"]
    assert not options.get("fastmath", False)
