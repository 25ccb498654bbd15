"""Plans of chips that power or heat limits: rules kept, and how far they stay above the lower bound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bmsctl.analysis.balancing.bleed import shortest_time
from bmsctl.analysis.balancing.derated import DeratedPlan, Die, lower_bound, plan_derated
from bmsctl.analysis.balancing.ocv import F64, BalancingError
from bmsctl.analysis.balancing.plan import Rules
from tests.reference.balancing import replayed, shortest_time_by_sets

DIE = Die(rise_k_per_w=40.0, tau_s=200.0, ambient_c=35.0, limit_c=75.0)


def drawn(seed: int) -> tuple[F64, F64]:
    random = np.random.default_rng(seed)
    cells = int(random.integers(6, 17))
    return random.exponential(2e4, cells), random.uniform(0.2, 0.6, cells)


def bled_s(plan: DeratedPlan, cells: int, rules: Rules) -> F64:
    """Time of each cell in a plan that may have pauses."""
    slots, before_s = [], 0.0
    for slot in plan.slots:
        if slot.start_s > before_s:
            slots.append((before_s, slot.start_s, ()))
        slots.append(tuple(slot))
        before_s = slot.end_s
    return replayed(slots, cells, [0] * cells, rules.at_once, rules.apart)


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("limit_w", [0.7, 1.6, math.inf])
def test_rules_and_power_are_kept_and_all_bled(limit_w: float, apart: bool) -> None:
    rules = Rules(4, apart)
    for seed in range(4):
        times_s, power_w = drawn(seed)
        plan = plan_derated(times_s, power_w, rules, limit_w)
        assert bled_s(plan, len(times_s), rules) == pytest.approx(times_s, rel=1e-9)
        assert max(power_w[list(slot.cells)].sum() for slot in plan.slots) <= limit_w
        assert plan.gap == plan.makespan_s / plan.bound_s - 1.0
        assert -1e-12 < plan.gap < 0.5


@pytest.mark.parametrize("limit_w", [0.7, 1.0, 1.6])
def test_the_plan_is_near_the_best_mix_of_sets_and_the_bound_below_it(limit_w: float) -> None:
    random = np.random.default_rng(6)
    for number in range(12):
        cells = int(random.integers(5, 11))
        times_s, power_w = random.exponential(2e4, cells), random.uniform(0.2, 0.6, cells)
        rules = Rules(3, bool(number % 2))
        plan = plan_derated(times_s, power_w, rules, limit_w)
        best_s = shortest_time_by_sets(times_s, rules.at_once, rules.apart, power_w, limit_w)
        assert plan.bound_s <= best_s * (1.0 + 1e-7)
        assert best_s * (1.0 - 1e-7) <= plan.makespan_s < 1.1 * best_s


def test_without_limits_it_is_the_shortest_time() -> None:
    for seed in range(10):
        times_s, power_w = drawn(seed)
        plan = plan_derated(times_s, power_w, Rules(3, True))
        assert plan.bound_s == shortest_time(times_s, np.array([0, len(times_s)]), 3, True)
        assert plan.gap < 2e-3


def test_equal_powers_count_cells() -> None:
    times_s, _ = drawn(1)
    plan = plan_derated(times_s, np.full(len(times_s), 0.4), Rules(9, False), power_max_w=1.0)
    assert plan.bound_s == pytest.approx(shortest_time(times_s, np.array([0, len(times_s)]), 2, False), rel=1e-12)
    assert plan.gap < 2e-3


def test_the_die_stays_below_its_limit_and_near_it() -> None:
    times_s, power_w = drawn(2)
    plan = plan_derated(times_s, power_w, Rules(8, False), die=DIE)
    assert bled_s(plan, len(times_s), Rules(8, False)) == pytest.approx(times_s, rel=1e-9)
    assert DIE.limit_c - 3.0 < plan.hottest_c <= DIE.limit_c + 1e-9
    assert 0.0 <= plan.gap < 0.1
    assert plan.bound_s >= (times_s @ power_w - 200.0) / 1.0
    theta_c, before_s = DIE.ambient_c, 0.0
    for slot in plan.slots:
        theta_c = DIE.ambient_c + (theta_c - DIE.ambient_c) * math.exp(-(slot.start_s - before_s) / DIE.tau_s)
        settles_c = DIE.ambient_c + DIE.rise_k_per_w * power_w[list(slot.cells)].sum()
        theta_c = settles_c + (theta_c - settles_c) * math.exp(-(slot.end_s - slot.start_s) / DIE.tau_s)
        before_s = slot.end_s
        assert theta_c <= DIE.limit_c + 1e-6


def test_what_the_die_stores_shortens_a_short_plan() -> None:
    times_s, power_w = np.full(4, 60.0), np.full(4, 0.5)
    plan = plan_derated(times_s, power_w, Rules(4, False), die=DIE)
    assert plan.makespan_s == pytest.approx(60.0)
    assert lower_bound(times_s, power_w, Rules(4, False), math.inf, DIE) == 60.0


def test_a_cool_surrounding_is_no_limit() -> None:
    times_s, power_w = drawn(3)
    cool = plan_derated(times_s, power_w, Rules(3, True), die=DIE._replace(ambient_c=-100.0))
    assert cool.makespan_s == pytest.approx(plan_derated(times_s, power_w, Rules(3, True)).makespan_s, rel=2e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("which", [0, 1])
def test_impossible_values_are_refused(which: int, value: float) -> None:
    pair = drawn(4)
    pair[which][1] = value
    with pytest.raises(BalancingError):
        plan_derated(*pair, Rules(3, True))


def test_a_cell_too_strong_for_the_chip_is_refused() -> None:
    with pytest.raises(BalancingError, match=r"0\.5 W alone is beyond"):
        plan_derated(np.array([10.0]), np.array([0.5]), Rules(1, False), power_max_w=0.4)
    with pytest.raises(BalancingError, match="alone is beyond"):
        plan_derated(np.array([1e5]), np.array([9.0]), Rules(1, False), die=DIE)


@pytest.mark.parametrize("change", [{"tau_s": 0.0}, {"limit_c": 35.0}, {"rise_k_per_w": float("nan")}])
def test_what_is_no_die_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(BalancingError, match="die"):
        plan_derated(*drawn(5), Rules(3, True), die=DIE._replace(**change))


def test_a_die_much_faster_than_the_plan_is_refused() -> None:
    with pytest.raises(BalancingError, match="too long"):
        plan_derated(*drawn(5), Rules(3, True), die=DIE._replace(tau_s=1e-3))


def test_nothing_to_bleed_takes_no_time() -> None:
    assert plan_derated(np.zeros(3), np.ones(3), Rules(1, True)).slots == ()
    assert plan_derated(np.empty(0), np.empty(0), Rules(1, True)).makespan_s == 0.0
