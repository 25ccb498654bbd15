"""The BMS's supply current: what an ammeter averages over any window, and what it is at a moment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_stubs.bms.consumption import Consumption


def lived(seed: int = 1, quiescent_a: float | None = None) -> Consumption:
    """Off until 3 s, asleep until 40 s, awake until 50 s, two coils until 55 s, awake until 60 s, asleep again."""
    consumption = Consumption(quiescent_a, seed)
    consumption.asleep(3.0)
    consumption.awake(40.0, coils=0)
    consumption.awake(50.0, coils=2)
    consumption.awake(55.0, coils=0)
    consumption.asleep(60.0)
    return consumption


MOMENTS = 2000


def sampled_mean_a(consumption: Consumption, from_s: float, width_s: float) -> float:
    moments_s = from_s + width_s * (np.arange(MOMENTS) + 0.5) / MOMENTS
    return float(np.mean([consumption.current_a(t_s) for t_s in moments_s]))


@settings(max_examples=50)
@given(st.floats(0.0, 70.0), st.floats(0.5, 50.0))
def test_the_mean_is_that_of_the_moments(from_s: float, width_s: float) -> None:
    consumption = lived()
    edges_a = 2 * (0.3 + 1.8) + 0.006 * 50
    mean_a = consumption.mean_a(from_s, from_s + width_s)
    assert mean_a == pytest.approx(sampled_mean_a(consumption, from_s, width_s), abs=edges_a / MOMENTS)


@settings(max_examples=50)
@given(st.floats(3.0, 20.0), st.floats(0.02, 20.0))
def test_the_mean_asleep_counts_every_part_of_a_pulse(from_s: float, width_s: float) -> None:
    consumption = lived()
    mean_a = consumption.mean_a(from_s, from_s + width_s)
    edges_a = 0.006 * (width_s + 2.0)
    assert mean_a == pytest.approx(sampled_mean_a(consumption, from_s, width_s), abs=edges_a / MOMENTS)


def test_quiescent_currents_of_good_units() -> None:
    means_a = np.array([lived(seed).mean_a(4.2, 14.2) for seed in range(300)])
    assert means_a.mean() == pytest.approx(0.8e-3, abs=0.05e-3)
    assert means_a.std() == pytest.approx(0.2e-3, rel=0.15)
    assert means_a.min() > 0.15e-3
    assert means_a.max() < 1.5e-3
    awake_a = np.array([lived(seed).current_a(45.0) for seed in range(300)])
    assert awake_a.mean() == pytest.approx(0.3, abs=0.003)
    assert awake_a.std() == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize("start_s", [4.0, 4.95, 5.03, 6.7])
def test_ten_seconds_hold_five_pulses_wherever_they_begin(start_s: float) -> None:
    assert lived(quiescent_a=20e-3).mean_a(start_s, start_s + 10.0) == pytest.approx(20e-3)


def test_the_clock_wakes_every_2_s_for_50_ms() -> None:
    consumption = lived(quiescent_a=1e-3)
    assert consumption.current_a(4.0) == pytest.approx(0.85e-3)
    assert consumption.current_a(4.97) == pytest.approx(6.85e-3)
    assert consumption.mean_a(4.96, 4.98) == pytest.approx(6.85e-3)
    assert consumption.mean_a(4.90, 5.0) == pytest.approx(3.85e-3)
    assert consumption.current_a(5.01) == pytest.approx(0.85e-3)
    assert consumption.current_a(52.0) - consumption.current_a(45.0) == pytest.approx(1.8)
    assert consumption.current_a(1.0) == 0.0
