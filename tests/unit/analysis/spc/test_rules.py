"""Nelson's rules: each by an example that just breaks it, and all against their sentences."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.spc.rules import nelson_rules
from tests.reference.spc import told_rules

JUST = {
    1: [0.5, -3.01],
    2: [0.1, 0.4, 0.2, 0.7, 0.1, 0.5, 0.2, 0.6, 0.3],
    3: [-1.4, -0.9, -0.2, 0.1, 0.5, 0.6],
    4: [0.5, -0.5] * 7,
    5: [2.1, 0.0, 2.2],
    6: [1.1, 1.2, 0.0, 1.6, 1.3],
    7: [0.5, 0.7, -0.4, -0.6, 0.2] * 3,
    8: [1.5, 1.2, -1.4, -1.1, 1.3, 1.6, -1.5, -1.2],
}


@pytest.mark.parametrize("rule", JUST)
def test_each_rule_is_broken_by_its_last_value_and_not_before(rule: int) -> None:
    values = JUST[rule]
    assert nelson_rules(values, 0.0, 1.0).get(rule) == [len(values) - 1]
    assert rule not in nelson_rules(values[:-1], 0.0, 1.0)
    mirrored = [20.0 - 2.0 * value for value in values]
    assert nelson_rules(mirrored, 20.0, 2.0).get(rule) == [len(values) - 1]


@pytest.mark.parametrize("rule", sorted(set(JUST) - {1}))
def test_a_missing_value_ends_a_pattern(rule: int) -> None:
    values = JUST[rule]
    assert rule not in nelson_rules([*values[:-1], math.nan, values[-1]], 0.0, 1.0)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([-3.5, -2.5, -1.5, -0.5, 0.0, 0.25, 0.5, 1.5, 2.5, 3.5, math.nan]), max_size=40),
    st.sampled_from([0.0, 0.4, 1.0]),
)
def test_agrees_with_the_sentences(values: list[float], sigma: float) -> None:
    assert nelson_rules(values, 0.0, sigma) == told_rules(values, 0.0, sigma)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_sentences_on_slow_waves(seed: int) -> None:
    values = [math.sin(0.05 * seed * i) * 2.0 + 1.6 * math.sin(1.9 * i * i) for i in range(200)]
    found = nelson_rules(values, 0.0, 1.0)
    assert found == told_rules(values, 0.0, 1.0)
    assert found


def test_without_zones_a_constant_breaks_nothing_and_a_jump_rule_1() -> None:
    assert nelson_rules([5.0] * 30, 5.0, 0.0) == {}
    assert nelson_rules([5.0, 5.0, math.nan, 5.1], 5.0, 0.0) == {1: [3]}


@pytest.mark.parametrize(("mean", "sigma"), [(math.nan, 1.0), (0.0, math.nan)])
def test_without_limits_nothing_is_told(mean: float, sigma: float) -> None:
    assert nelson_rules([9.0] * 30, mean, sigma) == {}
    assert nelson_rules([], 0.0, 1.0) == {}
