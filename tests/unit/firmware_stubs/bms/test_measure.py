"""The stub's sensors: errors of the size they are said to have, fixed per unit, fresh per sample."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_stubs.bms.measure import FrontEnd
from firmware_stubs.plant import Node
from tests.support.bms import FakePlant

UNITS = 120


def front_ends() -> list[FrontEnd]:
    plant = FakePlant()
    plant.potential_v.update({Node.P: 345.6, Node.N: 0.0})
    plant.current_a = 100.0
    return [FrontEnd(plant, seed) for seed in range(UNITS)]


@pytest.fixture(scope="module")
def units() -> list[FrontEnd]:
    return front_ends()


def test_cell_errors_between_units_and_within_one(units: list[FrontEnd]) -> None:
    error_v = np.array([unit.cell_v(1.0) - 3.6 for unit in units])
    assert error_v.std() == pytest.approx(np.sqrt(0.6**2 + 0.4**2 + 0.3**2) * 1e-3, rel=0.05)
    afe_v = error_v.reshape(UNITS, 6, 16).mean(axis=2)
    assert afe_v.std() == pytest.approx(np.sqrt(0.4**2 + (0.6**2 + 0.3**2) / 16) * 1e-3, rel=0.1)
    samples_v = np.array([units[0].cell_v(0.1 * number + 0.05) for number in range(200)])
    assert samples_v.std(axis=0).mean() == pytest.approx(0.3e-3, rel=0.05)


def test_cells_drift_with_temperature_by_afe() -> None:
    cold, warm = FakePlant(), FakePlant()
    warm.celsius = cold.celsius + 10.0
    drift_v = np.array([FrontEnd(warm, seed).cell_v(1.0) - FrontEnd(cold, seed).cell_v(1.0) for seed in range(60)])
    assert drift_v.std() == pytest.approx(1e-3, rel=0.15)
    assert np.ptp(drift_v.reshape(60, 6, 16), axis=2).max() < 1e-12


def test_tap_gain_and_noise(units: list[FrontEnd]) -> None:
    ratio = np.array([unit.taps(1.0)[:2] for unit in units], dtype=float) / 345.6
    assert ratio.std() == pytest.approx(0.0015, rel=0.12)
    samples_v = [unit_taps.u_n for unit_taps in (units[0].taps(0.02 * number + 0.01) for number in range(500))]
    assert np.std(np.array(samples_v, dtype=float)) == pytest.approx(0.03, rel=0.1)


def test_current_gain_offset_and_noise(units: list[FrontEnd]) -> None:
    at_100_a = np.array([np.mean([unit.current_a(0.01 * n + 0.005) for n in range(60)]) for unit in units])
    assert at_100_a.std() == pytest.approx(np.sqrt(0.15**2 + 0.02**2), rel=0.15)
    assert at_100_a.mean() == pytest.approx(100.0, abs=0.05)
    samples_a = [units[0].current_a(0.01 * number + 0.005) for number in range(1000)]
    assert np.std(samples_a) == pytest.approx(0.05, rel=0.07)


def test_thermistors_and_busbars(units: list[FrontEnd]) -> None:
    celsius = np.array([unit.temperature_c(1.0) for unit in units])
    assert celsius.std() == pytest.approx(0.4, rel=0.07)
    busbar_v = np.array([unit.busbar_v(1.0) for unit in units])
    assert busbar_v.std() == pytest.approx(np.sqrt(2) * 0.1e-3, rel=0.1)


def test_a_sample_depends_on_its_time_only(units: list[FrontEnd]) -> None:
    again = front_ends()[7]
    for t_s in (5.0, 0.3, 77.7):
        assert np.array_equal(units[7].cell_v(t_s), again.cell_v(t_s))
        assert units[7].taps(t_s) == again.taps(t_s)
        assert units[7].current_a(t_s) == again.current_a(t_s)
