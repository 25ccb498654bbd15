"""The stub's sensors: errors of the size they are said to have, fixed per unit, fresh per sample."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_stubs.bms import BmsCondition
from firmware_stubs.bms.measure import FrontEnd
from firmware_stubs.plant import Node
from tests.support.bms import FakePlant

UNITS = 120
GOOD = BmsCondition()


def front_ends() -> list[FrontEnd]:
    plant = FakePlant()
    plant.potential_v.update({Node.P: 345.6, Node.N: 0.0})
    plant.current_a = 100.0
    return [FrontEnd(plant, GOOD, seed) for seed in range(UNITS)]


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
    drift_v = np.array(
        [FrontEnd(warm, GOOD, seed).cell_v(1.0) - FrontEnd(cold, GOOD, seed).cell_v(1.0) for seed in range(60)]
    )
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


def test_what_is_wrong_with_the_sensors_comes_on_top_of_their_own_errors() -> None:
    plant = FakePlant()
    plant.current_a, plant.charge = 100.0, 2.0
    bad = BmsCondition(current_gain=-1.03, current_offset_a=1.5, sensor_offset_k={2: 9.0}, sensor_open=frozenset({12}))
    for seed in range(5):
        good, spoiled = FrontEnd(plant, GOOD, seed), FrontEnd(plant, bad, seed)
        unit_a = good.current_a(0.0) - FrontEnd(FakePlant(), GOOD, seed).current_a(0.0)
        assert spoiled.current_a(0.0) - good.current_a(0.0) == pytest.approx(-2.03 * unit_a + 1.5)
        assert spoiled.charge_ah(0.0) == pytest.approx(-1.03 * good.charge_ah(0.0))
        drift_ah = spoiled.charge_ah(3600.0) - spoiled.charge_ah(0.0)
        assert drift_ah == pytest.approx(1.5, abs=0.07)
        difference_k = spoiled.temperature_c(1.0) - good.temperature_c(1.0)
        assert difference_k[1] == pytest.approx(9.0)
        assert np.flatnonzero(np.isnan(difference_k)).tolist() == [11]
        assert np.abs(np.delete(difference_k, [1, 11])).max() == 0.0


def test_without_dividers_only_the_stack_is_measured() -> None:
    front_end = FrontEnd(FakePlant(), GOOD, 1)
    before = front_end.taps(1.0)
    front_end.connect_dividers(1.0, False)
    assert front_end.taps(1.0) == (before.u_batt, None, None, None)
    front_end.connect_dividers(1.0, True)
    assert front_end.taps(1.0) == before
