"""Self-discharge against the median, by the standard library and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.analysis.self_discharge import relative_self_discharge
from tests.reference.self_discharge import relative_rates

VOLTS = st.floats(3.4, 3.9)


@given(st.lists(st.tuples(VOLTS, VOLTS, st.floats(300.0, 500.0)), min_size=2, max_size=30))
def test_agrees_with_the_loop(cells: list[tuple[float, float, float]]) -> None:
    before, now, age_h = (list(column) for column in zip(*cells, strict=True))
    found = relative_self_discharge(np.array(before), np.array(now), 3600.0 * np.array(age_h))
    twin = relative_rates(before, now, age_h)
    assert found.rate_v_per_h == pytest.approx(twin, abs=1e-12)
    assert found.rate_v_per_h[found.worst - 1] == pytest.approx(max(twin), abs=1e-12)
    assert found.silent == ()


def test_by_hand() -> None:
    """400 h: 4 mV lost by all, 24 mV by cell 2, which is 0.05 mV/h more."""
    before = np.full(5, 3.600)
    now = np.array([3.596, 3.576, 3.596, 3.596, 3.596])
    found = relative_self_discharge(before, now, np.full(5, 400 * 3600.0))
    assert found.worst == 2
    assert found.rate_v_per_h == pytest.approx([0.0, 0.05e-3, 0.0, 0.0, 0.0])


def test_a_cell_without_voltage_is_left_out_and_named() -> None:
    before = np.array([3.6, 3.6, np.nan, 3.6])
    now = np.array([np.nan, 3.59, 3.6, 3.58])
    found = relative_self_discharge(before, now, np.full(4, 3600.0))
    assert (found.silent, found.worst) == ((1, 3), 4)
    assert found.rate_v_per_h[[1, 3]] == pytest.approx([-0.005, 0.005])


def test_no_voltage_at_all_has_no_worst() -> None:
    found = relative_self_discharge(np.full(3, np.nan), np.full(3, 3.6), np.full(3, 3600.0))
    assert (found.worst, found.silent) == (0, (1, 2, 3))
