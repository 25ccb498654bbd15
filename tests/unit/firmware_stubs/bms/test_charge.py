"""The BMS's state of charge: estimated from the cells at wake, counted from there, unmoved by a load."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_stubs.bms import BmsCondition
from firmware_stubs.bms.charge import ChargeCounter
from firmware_stubs.bms.measure import FrontEnd
from tests.support.bms import CAPACITY_AH, FakePlant

AT_25_PERCENT_V, AT_30_PERCENT_V = 3.592, 3.622


def woken(seed: int, cell_v: float, condition: BmsCondition | None = None) -> tuple[FakePlant, ChargeCounter]:
    plant = FakePlant(cell_v=np.full(96, cell_v))
    counter = ChargeCounter(FrontEnd(plant, condition or BmsCondition(), seed), CAPACITY_AH, seed)
    counter.wake(10.0)
    return plant, counter


@pytest.mark.parametrize(("cell_v", "percent"), [(AT_25_PERCENT_V, 25.0), (AT_30_PERCENT_V, 30.0), (4.2, 99.8)])
def test_the_estimate_is_right_within_the_units_error(cell_v: float, percent: float) -> None:
    estimates = np.array([woken(seed, cell_v)[1].percent(10.0) for seed in range(200)], dtype=float)
    assert estimates.mean() == pytest.approx(percent, abs=0.12)
    if percent < 50.0:
        assert estimates.std() == pytest.approx(0.4, rel=0.15)
    assert estimates.max() <= 100.0


def test_it_counts_what_its_own_current_sensor_saw() -> None:
    plant, counter = woken(1, AT_25_PERCENT_V, BmsCondition(current_gain=1.1))
    before = counter.percent(10.0)
    plant.charge = 10.0
    assert before is not None
    assert counter.charge_ah(10.0) == pytest.approx(11.0, rel=0.006)
    assert counter.percent(10.0) == pytest.approx(before + 1100.0 / CAPACITY_AH, abs=0.05)


def test_a_load_moves_nothing() -> None:
    plant, counter = woken(1, AT_25_PERCENT_V)
    before = counter.percent(10.0)
    plant.cell_v, plant.current_a = np.full(96, 3.3), -100.0
    assert counter.percent(10.0) == before


def test_the_counter_goes_on_after_sleep_and_the_estimate_begins_anew() -> None:
    plant, counter = woken(1, AT_25_PERCENT_V)
    first = counter.percent(10.0)
    plant.charge = 5.0
    counter.halt(20.0)
    plant.charge = 6.0
    plant.cell_v = np.full(96, AT_30_PERCENT_V)
    counter.wake(1000.0)
    assert counter.charge_ah(1000.0) == pytest.approx(5.0, rel=0.006)
    plant.charge = 8.0
    assert counter.charge_ah(1000.0) == pytest.approx(7.0, rel=0.006)
    assert first is not None
    assert counter.percent(1000.0) == pytest.approx(first + 5.0 + 200.0 / CAPACITY_AH, abs=0.1)


def test_without_any_cell_voltage_there_is_none() -> None:
    _, counter = woken(1, np.nan)
    assert counter.percent(10.0) is None
    _, counter = woken(1, AT_25_PERCENT_V)
    assert counter.percent(10.0) is not None
