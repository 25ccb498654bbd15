"""The precharge fit against curves of known time constant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.analysis.precharge import F64, fit_precharge
from tests.reference.precharge import grid_search_tau

RATE_HZ = 10_000.0


def curve(
    tau_s: float, end_v: float = 350.0, start_s: float = 0.05, length_s: float = 1.0, noise_v: float = 0.0
) -> F64:
    time_s = np.arange(int(length_s * RATE_HZ)) / RATE_HZ - start_s
    ideal = np.where(time_s > 0.0, end_v * (1.0 - np.exp(-np.maximum(time_s, 0.0) / tau_s)), 0.0)
    return ideal + noise_v * np.random.default_rng(1).standard_normal(len(ideal))


@given(tau_s=st.floats(0.01, 0.1), end_v=st.floats(100.0, 420.0))
def test_a_clean_curve_gives_its_time_constant(tau_s: float, end_v: float) -> None:
    fit = fit_precharge(curve(tau_s, end_v), RATE_HZ)
    assert fit.tau_s == pytest.approx(tau_s, rel=1e-3)
    assert fit.end_v == pytest.approx(end_v, rel=1e-3)


def test_noise_of_the_front_end_costs_less_than_a_promille() -> None:
    fit = fit_precharge(curve(0.025, noise_v=0.05), RATE_HZ)
    assert fit.tau_s == pytest.approx(0.025, rel=1e-3)


def test_agrees_with_a_grid_search() -> None:
    noisy = curve(0.031, noise_v=0.5)
    assert fit_precharge(noisy, RATE_HZ).tau_s == pytest.approx(grid_search_tau(noisy, RATE_HZ), rel=2e-3)


@pytest.mark.parametrize(
    "voltage_v",
    [
        np.zeros(1000),
        np.full(1000, 350.0),
        np.full(1000, np.nan),
        -curve(0.025),
        np.where(np.arange(1000) < 500, 350.0, -350.0),
        np.where(np.arange(1000) == 500, 350.0, 0.0),
        np.where(np.arange(1000) < 100, -350.0, 350.0),
        np.where(np.arange(10_000) == 503, 340.0, curve(0.025)),
        np.random.default_rng(3).standard_normal(1000),
    ],
    ids=["dead", "charged", "no data", "reversed", "falls", "spike", "turned round", "spike on a rise", "noise"],
)
def test_what_is_no_precharge_curve_has_no_time_constant(voltage_v: F64) -> None:
    fit = fit_precharge(voltage_v, RATE_HZ)
    assert np.isnan(fit.tau_s)
    assert not fit.resolved


def test_a_step_is_bounded_by_one_sample() -> None:
    """From 10 % to 85 % is ln(0.9 / 0.15) = 1.791759 time constants, here at most 100 µs: tau <= 55.81 µs."""
    fit = fit_precharge(np.where(np.arange(1000) < 500, 0.0, 350.0), RATE_HZ)
    assert (fit.end_v, fit.resolved) == (350.0, False)
    assert fit.tau_s == pytest.approx(55.8111e-6, rel=1e-5)


@given(tau_s=st.floats(1e-6, 1e-3), start_s=st.floats(0.05, 0.0501))
def test_a_rise_too_fast_to_fit_has_an_upper_bound(tau_s: float, start_s: float) -> None:
    fit = fit_precharge(curve(tau_s, start_s=start_s), RATE_HZ)
    assert not fit.resolved
    assert tau_s <= fit.tau_s <= tau_s + 2.0 / RATE_HZ / 1.79


def test_a_rise_that_can_be_fitted_is() -> None:
    assert fit_precharge(curve(0.0013), RATE_HZ).resolved


def test_a_non_contiguous_array_gives_the_same() -> None:
    voltage_v = curve(0.025)
    doubled = np.repeat(voltage_v, 2)[::2]
    assert fit_precharge(doubled, RATE_HZ) == fit_precharge(voltage_v, RATE_HZ)
