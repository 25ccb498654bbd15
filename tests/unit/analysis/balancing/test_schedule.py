"""Schedules take exactly the shortest time: a part of the campaign, compiled and interpreted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.balancing.fleet import chip_schedule
from bmsctl.analysis.balancing.schedule import events_max
from tests.campaign.balance_schedules import SHAPES, Schedule, campaign, judged


@pytest.mark.parametrize(("schedule", "chips"), [(chip_schedule, 2000), (chip_schedule.py_func, 60)])
def test_the_schedule_is_the_bound(schedule: Schedule, chips: int) -> None:
    makespan, bled, events = campaign(chips, 11, schedule)
    assert makespan < 1e-12
    assert bled < 1e-12
    assert events <= 2


def test_compiled_and_interpreted_are_the_same() -> None:
    random = np.random.default_rng(5)
    for number in range(30):
        cells, at_once = int(random.integers(1, 12)), int(random.integers(1, 6))
        ticks = SHAPES[number % len(SHAPES)](random, cells).astype(np.int64)
        results = []
        for schedule in (chip_schedule, chip_schedule.py_func):
            ends = np.zeros(events_max(cells, at_once), np.int64)
            bleeding = np.zeros((len(ends), cells), np.bool_)
            count = schedule(ticks, at_once, True, ends, bleeding)
            results.append((count, ends.tolist(), bleeding.tolist()))
        assert results[0] == results[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=10), st.integers(1, 6), st.booleans())
def test_any_whole_numbers(bleed: list[int], at_once: int, apart: bool) -> None:
    makespan, bled, _ = judged(np.array(bleed, np.float64), at_once, apart, chip_schedule)
    assert 0.0 <= makespan < 1e-12
    assert bled < 1e-12


@pytest.mark.parametrize("schedule", [chip_schedule, chip_schedule.py_func])
@pytest.mark.parametrize("ticks", [[], [0], [0, 0, 0]])
def test_nothing_to_bleed_has_no_events(schedule: Schedule, ticks: list[int]) -> None:
    ends, bleeding = np.zeros(20, np.int64), np.zeros((20, len(ticks)), np.bool_)
    assert schedule(np.array(ticks, np.int64), 2, True, ends, bleeding) == 0


def test_odd_and_even_cells_without_a_limit() -> None:
    ends, bleeding = np.zeros(20, np.int64), np.zeros((20, 4), np.bool_)
    count = chip_schedule.py_func(np.array([5, 3, 5, 3]), 4, True, ends, bleeding)
    assert ends[:count].tolist() == [5, 8]
    assert bleeding[:count].tolist() == [[True, False, True, False], [False, True, False, True]]


def test_the_lock_of_the_interpreter_is_released() -> None:
    assert chip_schedule.targetoptions["nogil"]
    assert not chip_schedule.targetoptions.get("fastmath", False)
