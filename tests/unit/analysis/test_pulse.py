"""The pulse fit: compiled and interpreted, against least squares one pulse at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bmsctl.analysis import pulse
from bmsctl.analysis.pulse import PulseError, PulseFit, fit_pulses
from tests.reference.pulse import fitted

F64 = NDArray[np.float64]
KERNELS = ("root_time_fits", "_add", "_solve")


def pulses(count: int, n: int, noise_v: float = 1e-4) -> tuple[F64, F64, F64, F64]:
    """Times, voltages, rest voltages and currents; R = 1 mOhm + 0.1 mOhm a pulse, k a fifth of it."""
    rng = np.random.default_rng(1)
    time_s = np.sort(rng.uniform(0.0, 10.0, (count, n)), axis=1)
    rest_v, current_a = rng.uniform(3.4, 3.8, count), rng.uniform(50.0, 150.0, count) * (-1.0) ** np.arange(count)
    ohmic = 1e-3 + 1e-4 * np.arange(count)
    fall_v = (current_a * ohmic)[:, None] * (1.0 + 0.2 * np.sqrt(time_s))
    return time_s, rest_v[:, None] - fall_v + rng.normal(0.0, noise_v, (count, n)), rest_v, current_a


def row(found: PulseFit, number: int) -> list[float]:
    return [float(values[number]) for values in found]


@pytest.mark.parametrize("skip_s", [0.0, 0.5])
@pytest.mark.parametrize("n", [30, 255, 256, 700])
def test_agrees_with_least_squares(n: int, skip_s: float) -> None:
    arrays = pulses(4, n)
    time_s, voltage_v, rest_v, current_a = arrays
    found = fit_pulses(*arrays, skip_s)
    for number in range(4):
        twin = fitted(time_s[number], voltage_v[number], rest_v[number], current_a[number], skip_s)
        assert row(found, number) == pytest.approx(twin, rel=1e-8)


def test_a_line_without_noise_is_found() -> None:
    found = fit_pulses(*pulses(3, 50, noise_v=0.0))
    assert found.ohmic_ohm == pytest.approx([1e-3, 1.1e-3, 1.2e-3], rel=1e-9)
    assert found.after(4.0) == pytest.approx([1.4e-3, 1.54e-3, 1.68e-3], rel=1e-9)


def test_errors_are_calibrated() -> None:
    """400 pulses with the same truth: their scatter is what the standard errors say."""
    rng = np.random.default_rng(2)
    time_s = np.tile(np.arange(0.0, 10.0, 0.1), (400, 1))
    voltage_v = 3.6 - 100.0 * (1e-3 + 2e-4 * np.sqrt(time_s)) + rng.normal(0.0, 1e-3, time_s.shape)
    found = fit_pulses(time_s, voltage_v, np.full(400, 3.6), np.full(400, 100.0))
    assert np.std((found.ohmic_ohm - 1e-3) / found.ohmic_error_ohm) == pytest.approx(1.0, abs=0.12)
    z = (found.diffusion_ohm_per_root_s - 2e-4) / found.diffusion_error_ohm_per_root_s
    assert np.std(z) == pytest.approx(1.0, abs=0.12)


def test_interpreted_is_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = pulses(3, 300)
    arrays[1][1, 5] = np.nan
    compiled = fit_pulses(*arrays, 0.1)
    for name in KERNELS:
        monkeypatch.setattr(pulse, name, getattr(pulse, name).py_func)
    for ours, theirs in zip(compiled, fit_pulses(*arrays, 0.1), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", range(4))
def test_no_number_gives_nan_for_its_pulse_alone(which: int, value: float) -> None:
    arrays = pulses(3, 40)
    good = fit_pulses(*arrays)
    arrays[which][(1, 7) if which < 2 else 1] = value
    found = fit_pulses(*arrays)
    assert np.isnan(row(found, 1)).all()
    assert row(found, 0) == row(good, 0)
    assert row(found, 2) == row(good, 2)


def test_what_is_skipped_may_hold_anything() -> None:
    time_s, voltage_v, rest_v, current_a = pulses(1, 40)
    extra_s = np.concatenate(([[-1.0, 0.0, 0.04]], time_s + 0.05), axis=1)
    extra_v = np.concatenate(([[np.nan, np.inf, 0.0]], voltage_v), axis=1)
    alone = fit_pulses(time_s + 0.05, voltage_v, rest_v, current_a, 0.05)
    assert row(fit_pulses(extra_s, extra_v, rest_v, current_a, 0.05), 0) == pytest.approx(row(alone, 0), rel=1e-9)


def test_order_and_stride_do_not_matter() -> None:
    time_s, voltage_v, rest_v, current_a = pulses(2, 60)
    straight = fit_pulses(time_s, voltage_v, rest_v, current_a)
    back = fit_pulses(time_s[:, ::-1], voltage_v[:, ::-1], rest_v, current_a)
    for ours, theirs in zip(straight, back, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9)


def test_few_samples() -> None:
    empty = fit_pulses(np.empty((0, 5)), np.empty((0, 5)), [], [])
    assert len(empty.ohmic_ohm) == 0
    for time_s in ([[]], [[1.0]], [[1.0, 1.0, 1.0]]):
        voltage_v = np.full((1, len(time_s[0])), 3.5)
        assert np.isnan(row(fit_pulses(np.array(time_s), voltage_v, [3.6], [100.0]), 0)).all()
    two = row(fit_pulses([[1.0, 4.0]], [[3.5, 3.4]], [3.6], [100.0]), 0)
    assert two[:2] == pytest.approx([0.0, 1e-3], abs=1e-12)
    assert np.isnan(two[2:]).all()


def test_no_current_is_no_resistance() -> None:
    time_s, voltage_v, rest_v, _ = pulses(1, 20)
    assert np.isnan(row(fit_pulses(time_s, voltage_v, rest_v, [0.0]), 0)).all()


def test_what_does_not_belong_together() -> None:
    arrays = pulses(2, 10)
    with pytest.raises(PulseError, match="give times and voltages"):
        fit_pulses(arrays[0], arrays[1][:, 1:], *arrays[2:])
    for skip_s in (-1.0, math.nan, math.inf):
        with pytest.raises(PulseError, match="cannot be skipped"):
            fit_pulses(*arrays, skip_s)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_run_without_the_interpreters_lock_and_keep_nan(name: str) -> None:
    options = getattr(pulse, name).targetoptions
    assert options["nogil"]
    assert not options.get("fastmath")
