"""Plans of packs, replayed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.balancing import plan as plan_module
from bmsctl.analysis.balancing.ocv import BalancingError
from bmsctl.analysis.balancing.plan import Plan, Rules, plan_pack
from tests.reference.balancing import replayed


def chips_of(begins: list[int]) -> list[int]:
    return [chip for chip, (begin, end) in enumerate(itertools.pairwise(begins)) for _ in range(begin, end)]


def check(bleed_s: np.ndarray, begins: list[int], rules: Rules) -> Plan:
    plan = plan_pack(bleed_s, np.array(begins), rules)
    total_s = replayed(plan.slots, len(bleed_s), chips_of(begins), rules.at_once, rules.apart)
    assert total_s == pytest.approx(bleed_s, abs=1e-10 * plan.makespan_s)
    assert plan.makespan_s == pytest.approx(plan.bound_s, rel=1e-12)
    assert not plan.slots or plan.slots[-1].end_s == plan.makespan_s
    return plan


@pytest.mark.parametrize("at_once", [1, 3, 6, 20])
@pytest.mark.parametrize("apart", [True, False])
def test_a_pack_of_unequal_chips(at_once: int, apart: bool) -> None:
    random = np.random.default_rng(at_once)
    check(random.exponential(3e4, 31), [0, 12, 13, 20, 31], Rules(at_once, apart))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.0, 1e6, allow_subnormal=False), min_size=2, max_size=9),
    st.integers(1, 4),
    st.booleans(),
    st.data(),
)
def test_any_pack(bleed: list[float], at_once: int, apart: bool, data: st.DataObject) -> None:
    check(np.array(bleed), [0, data.draw(st.integers(1, len(bleed) - 1)), len(bleed)], Rules(at_once, apart))


def test_neighbours_of_two_chips_may_bleed_together() -> None:
    plan = check(np.array([5.0, 5.0]), [0, 1, 2], Rules(1, True))
    assert plan.slots == ((0.0, 5.0, (0, 1)),)
    assert check(np.array([5.0, 5.0]), [0, 2], Rules(2, True)).makespan_s == 10.0


@pytest.mark.parametrize("begins", [[0, 12, 24], [0, 96]])
def test_slots_with_the_same_cells_are_one_and_none_is_made_by_rounding(begins: list[int]) -> None:
    random = np.random.default_rng(8)
    plan = check(random.exponential(3e4, begins[-1]), begins, Rules(3, True))
    assert all(before.cells != after.cells for before, after in itertools.pairwise(plan.slots))
    assert min(slot.end_s - slot.start_s for slot in plan.slots) > 1e-12 * plan.makespan_s


def test_compiled_for_large_chips_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    bleed_s = np.random.default_rng(9).exponential(3e4, 12)
    interpreted = check(bleed_s, [0, 12], Rules(3, True))
    monkeypatch.setattr(plan_module, "INTERPRETED_MAX", 0)
    assert check(bleed_s, [0, 12], Rules(3, True)) == interpreted


@pytest.mark.parametrize("cells", [0, 1, 4])
def test_nothing_to_bleed_has_no_slots(cells: int) -> None:
    assert plan_pack(np.zeros(cells), np.array([0, cells] if cells else [0]), Rules(2, True)) == Plan(0.0, 0.0, ())


def test_arrays_need_not_be_contiguous() -> None:
    bleed_s = np.random.default_rng(10).exponential(3e4, 12)
    assert plan_pack(np.repeat(bleed_s, 2)[::2], np.array([0, 12]), Rules(3, True)) == plan_pack(
        bleed_s, np.array([0, 12]), Rules(3, True)
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_no_plan_for_what_is_no_time(value: float) -> None:
    with pytest.raises(BalancingError, match="missing"):
        plan_pack(np.array([1.0, value]), np.array([0, 2]), Rules(2, False))


def test_nobody_at_a_time_is_refused() -> None:
    with pytest.raises(BalancingError, match="at least one"):
        plan_pack(np.array([1.0]), np.array([0, 1]), Rules(0, False))
