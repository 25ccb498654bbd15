"""K values as slopes: compiled and interpreted, against scipy one cell at a time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bmsctl.analysis.self_discharge import regression
from bmsctl.analysis.self_discharge.regression import RestVoltageError, k_values
from tests.reference.self_discharge import regressed

F64 = NDArray[np.float64]
DAY_S = 86_400.0


def cells(count: int, n: int) -> tuple[F64, F64]:
    """Times from some day on, and voltages that fall by 0.02 mV/h times the cell's number."""
    rng = np.random.default_rng(1)
    time_s = 400 * DAY_S + np.sort(rng.uniform(0.0, 16 * DAY_S, n))
    fall_v = 2e-5 / 3600.0 * np.arange(count)[:, None] * (time_s - time_s[0])
    return time_s, 3.6 - fall_v + rng.normal(0.0, 1e-4, (count, n))


@pytest.mark.parametrize("n", [3, 10, 40])
def test_agrees_with_scipy(n: int) -> None:
    time_s, voltage_v = cells(20, n)
    found = k_values(time_s, voltage_v)
    twin = np.array([regressed(time_s, volts) for volts in voltage_v])
    assert found.k_v_per_h == pytest.approx(twin[:, 0], rel=1e-8, abs=1e-13)
    assert found.error_v_per_h == pytest.approx(twin[:, 1], rel=1e-6)


def test_errors_are_calibrated() -> None:
    time_s, voltage_v = cells(2000, 6)
    found = k_values(time_s, voltage_v)
    student = (found.k_v_per_h - 2e-5 * np.arange(2000)) / found.error_v_per_h
    assert np.std(student) == pytest.approx(np.sqrt(4.0 / 2.0), rel=0.2)
    assert np.mean(np.abs(student) < 2.776) == pytest.approx(0.95, abs=0.02)


def test_interpreted_is_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    time_s, voltage_v = cells(5, 7)
    voltage_v[2, 3] = np.nan
    compiled = k_values(time_s, voltage_v)
    monkeypatch.setattr(regression, "rest_slopes", regression.rest_slopes.py_func)
    for ours, theirs in zip(compiled, k_values(time_s, voltage_v), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 4])
def test_no_number_gives_nan_for_its_cell_alone(place: int, value: float) -> None:
    time_s, voltage_v = cells(3, 6)
    voltage_v[1, place] = value
    found = k_values(time_s, voltage_v)
    for values in found:
        assert np.isnan(values).tolist() == [False, True, False]


def test_order_and_stride_do_not_matter() -> None:
    time_s, voltage_v = cells(4, 9)
    straight, back = k_values(time_s, voltage_v), k_values(time_s[::-1], voltage_v[:, ::-1])
    assert straight.k_v_per_h == pytest.approx(back.k_v_per_h, rel=1e-9)
    assert straight.error_v_per_h == pytest.approx(back.error_v_per_h, rel=1e-9)


def test_two_times_have_a_slope_and_no_error() -> None:
    found = k_values([0.0, 7200.0], [[3.6, 3.598]])
    assert found.k_v_per_h == pytest.approx([1e-3])
    assert np.isnan(found.error_v_per_h).all()
    assert len(k_values([0.0, 1.0], np.empty((0, 2))).k_v_per_h) == 0


def test_single_precision_voltages_are_enough() -> None:
    time_s, voltage_v = cells(10, 10)
    found, narrow = k_values(time_s, voltage_v), k_values(time_s, voltage_v.astype(np.float32))
    assert found.k_v_per_h == pytest.approx(narrow.k_v_per_h, abs=5e-9)


@pytest.mark.parametrize("time_s", [[1.0], [1.0, 1.0], [0.0, np.nan], []])
def test_times_without_a_slope(time_s: list[float]) -> None:
    with pytest.raises(RestVoltageError, match="two different times"):
        k_values(time_s, np.full((1, len(time_s)), 3.6))


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(RestVoltageError, match="give"):
        k_values([0.0, 1.0], [[3.6, 3.6, 3.6]])


def test_the_kernel_runs_without_the_interpreters_lock_and_keeps_nan() -> None:
    options = regression.rest_slopes.targetoptions
    assert options["nogil"]
    assert not options.get("fastmath")


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_dask_workers_give_the_same_bits(scheduler: str) -> None:
    dask = pytest.importorskip("dask")
    time_s, voltage_v = cells(1000, 10)
    whole = k_values(time_s, voltage_v)
    tasks = [dask.delayed(k_values)(time_s, part) for part in np.array_split(voltage_v, 7)]
    parts = dask.compute(*tasks, scheduler=scheduler, num_workers=2)
    for field in ("k_v_per_h", "error_v_per_h"):
        joined = np.concatenate([getattr(part, field) for part in parts])
        assert joined.tobytes() == getattr(whole, field).tobytes()
