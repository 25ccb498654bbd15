"""The integral over an open-circuit curve, and how much of the SOC a voltage tells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import quad

from bmsctl.analysis.balancing.ocv import BalancingError, Curve, ocv_curve, soc_error, soc_from_voltage, soc_range
from tests.unit.analysis.balancing.curves import CURVES, FLAT, PARTIAL, STEEP


@pytest.mark.parametrize("name", CURVES)
def test_the_pieces_integrate_the_curve(name: str) -> None:
    curve = CURVES[name]
    for begin, below in curve.pieces[:: max(1, len(curve.pieces) // 20), :2]:
        inner = [float(soc) for soc in curve.soc if curve.soc[0] < soc < begin]
        edges = [float(curve.soc[0]), *inner, float(begin)]
        parts = [quad(lambda s: 1.0 / float(curve.voltage_at(s)), a, b) for a, b in itertools.pairwise(edges)]
        assert below == pytest.approx(sum(part[0] for part in parts), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", CURVES)
def test_every_soc_is_found_within_the_steps(name: str) -> None:
    curve = CURVES[name]
    random = np.random.default_rng(3)
    begins = curve.pieces[:, 0]
    for soc in np.append(random.uniform(curve.soc[0], curve.soc[-1], 500), begins):
        bucket = int((soc - begins[0]) * len(curve.first_piece) / (begins[-1] - begins[0]))
        piece = int(curve.first_piece[min(bucket, len(curve.first_piece) - 1)])
        for _ in range(curve.steps):
            piece += int(begins[piece + 1] < soc)
        assert begins[piece] - 1e-12 <= soc <= begins[piece + 1] + 1e-12


def test_points_at_equal_distances_need_no_search() -> None:
    assert STEEP.steps == 0
    assert CURVES["uneven"].steps > 0


def test_a_curve_need_not_be_contiguous() -> None:
    points = np.array([[0.0, 3.0], [0.5, 3.6], [1.0, 4.2]])
    curve = ocv_curve(points[:, 0], points[:, 1])
    np.testing.assert_array_equal(curve.pieces, ocv_curve([0.0, 0.5, 1.0], [3.0, 3.6, 4.2]).pieces)


@pytest.mark.parametrize(
    ("soc", "voltage_v", "what"),
    [
        ([], [], "two points"),
        ([0.5], [3.6], "two points"),
        ([0.0, 1.0], [3.0], "two points"),
        ([0.0, np.nan], [3.0, 4.0], "numbers"),
        ([0.0, 1.0], [3.0, np.inf], "numbers"),
        ([0.0, 1.0], [0.0, 4.0], "above 0"),
        ([0.0, 0.6, 0.5], [3.0, 3.5, 4.0], "rise"),
        ([0.0, 0.5, 0.5], [3.0, 3.5, 4.0], "rise"),
        ([0.0, 1.0], [4.0, 3.0], "fall"),
        ([0.0, 100.0], [3.0, 4.0], "share"),
        ([-0.1, 1.0], [3.0, 4.0], "share"),
    ],
)
def test_what_is_no_curve_is_refused(soc: list[float], voltage_v: list[float], what: str) -> None:
    with pytest.raises(BalancingError, match=what):
        ocv_curve(soc, voltage_v)


def test_outside_the_curve_there_is_no_voltage() -> None:
    assert np.isnan(PARTIAL.voltage_at([0.19, 0.91, np.nan])).all()
    assert PARTIAL.voltage_at(0.9) == 4.0


def test_a_voltage_stands_for_all_of_a_flat_part() -> None:
    low, high = soc_range(FLAT, [3.3], 0.0)
    assert (low[0], high[0]) == pytest.approx((0.4, 0.6))
    low, high = soc_range(FLAT, [3.3], 1e-3)
    assert (low[0], high[0]) == pytest.approx((0.39, 0.60875))


def test_a_voltage_off_the_curve_stands_for_nothing() -> None:
    low, high = soc_range(STEEP, [2.9, 4.3, np.nan, 2.9999], 1e-3)
    assert np.isnan(low[:3]).all()
    assert np.isnan(high[:3]).all()
    assert (low[3], high[3]) == pytest.approx((0.0, 0.0009 / 4.0))


def test_the_soc_of_a_steep_curve_comes_from_its_voltage() -> None:
    soc = np.array([0.05, 0.3, 0.7, 0.95])
    found = soc_from_voltage(STEEP, STEEP.voltage_at(soc), 1e-3, 0.005)
    assert found == pytest.approx(soc, abs=1e-9)


def test_a_flat_curve_needs_the_charge_history() -> None:
    volts = FLAT.voltage_at([0.1, 0.5, 0.97])
    with pytest.raises(BalancingError, match=r"cell 2: the curve is flat there, 1 mV .* needs charge history"):
        soc_from_voltage(FLAT, volts, 1e-3, 0.01)
    assert soc_from_voltage(FLAT, volts[[0, 2]], 1e-3, 0.01) == pytest.approx([0.1, 0.97], abs=1e-3)


def test_a_missing_voltage_is_no_soc() -> None:
    with pytest.raises(BalancingError, match="cells 1, 3: no voltage"):
        soc_from_voltage(STEEP, [np.nan, 3.6, 9.0], 1e-3, 0.01)
    assert len(soc_from_voltage(STEEP, [], 1e-3, 0.01)) == 0


@pytest.mark.parametrize("curve", [STEEP, FLAT])
def test_the_error_of_a_soc_is_that_of_the_voltage_over_the_slope(curve: Curve) -> None:
    soc = np.array([0.3, 0.8])
    slope = (curve.voltage_at(soc + 1e-4) - curve.voltage_at(soc - 1e-4)) / 2e-4
    assert soc_error(curve, soc, 1e-4) == pytest.approx(1e-4 / slope, rel=1e-6)
