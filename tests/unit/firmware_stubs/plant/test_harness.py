"""What chips see of their cells while some bleed, against nodal analysis of the sense wires."""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_stubs.plant import Plant, PlantCondition
from firmware_stubs.plant.harness import BLEED_OHM, Harness
from firmware_stubs.population import CHIP_CHANNELS, draw_pack, facts_of
from tests.reference import plant as reference

SERIES = 72
CELL_V = 3.6 + 1e-3 * np.sin(np.arange(SERIES))
WIRES_OHM = draw_pack(facts_of("AS40"), 4).sense_ohm


def bitmap(*cells: int) -> int:
    return sum(1 << cell - 1 for cell in cells)


def harness(stuck: Mapping[int, bool] | None = None, broken: Set[int] = frozenset()) -> Harness:
    return Harness(SERIES, WIRES_OHM, stuck or {}, broken)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, (1 << SERIES) - 1))
def test_any_pattern_matches_nodal_analysis(cells: int) -> None:
    tested = harness()
    tested.bleed(1.0, cells)
    seen_v = tested.seen_v(2.0, CELL_V)
    for chip in range(-(-SERIES // CHIP_CHANNELS)):
        channels = slice(CHIP_CHANNELS * chip, min(CHIP_CHANNELS * (chip + 1), SERIES))
        on = [bool(cells >> cell & 1) for cell in range(SERIES)[channels]]
        expected_v = reference.chip_inputs(CELL_V[channels], WIRES_OHM[chip], on, BLEED_OHM)
        assert seen_v[channels] == pytest.approx(expected_v, abs=20e-6)


def test_a_bleeding_cell_is_low_and_its_neighbours_in_the_chip_are_high() -> None:
    tested = harness()
    tested.bleed(1.0, bitmap(8))
    change_v = tested.seen_v(1.0, CELL_V) - CELL_V
    assert change_v[7] == pytest.approx(-6.6e-3, abs=2e-3)
    assert change_v[6] + change_v[8] == pytest.approx(-change_v[7], rel=1e-6)
    assert np.count_nonzero(change_v) == 3


@pytest.mark.parametrize(("cell", "neighbour", "beyond"), [(16, 15, 17), (17, 18, 16), (1, 2, None), (72, 71, None)])
def test_chips_share_no_wire(cell: int, neighbour: int, beyond: int | None) -> None:
    tested = harness()
    tested.bleed(1.0, bitmap(cell))
    change_v = tested.seen_v(1.0, CELL_V) - CELL_V
    assert change_v[neighbour - 1] > 2e-3
    assert np.count_nonzero(change_v) == 2
    if beyond is not None:
        assert change_v[beyond - 1] == 0.0


def test_a_command_replaces_the_one_before_and_the_past_is_known() -> None:
    tested = harness()
    tested.bleed(1.0, bitmap(3))
    tested.bleed(2.0, bitmap(5))
    tested.bleed(3.0, 0)
    low = [set(np.flatnonzero(tested.seen_v(t_s, CELL_V) < CELL_V - 1e-3) + 1) for t_s in (0.5, 1.5, 2.5, 3.5)]
    assert low == [set(), {3}, {5}, set()]


def test_switches_that_do_not_move() -> None:
    tested = harness(stuck={3: True, 20: False})
    assert set(np.flatnonzero(tested.seen_v(0.0, CELL_V) < CELL_V - 1e-3) + 1) == {3}
    tested.bleed(1.0, bitmap(20, 40))
    assert set(np.flatnonzero(tested.seen_v(2.0, CELL_V) < CELL_V - 1e-3) + 1) == {3, 40}


def test_behind_an_open_wire_nothing_is_seen_and_nothing_bleeds() -> None:
    tested = harness(broken=frozenset({5}))
    tested.bleed(1.0, bitmap(5))
    seen_v = tested.seen_v(2.0, CELL_V)
    assert np.flatnonzero(np.isnan(seen_v)).tolist() == [4]
    assert np.delete(seen_v, 4) == pytest.approx(np.delete(CELL_V, 4), abs=0.0)


def test_the_callers_voltages_are_left_alone() -> None:
    tested, given_v = harness(stuck={1: True}), CELL_V.copy()
    tested.seen_v(0.0, given_v)[:] = 0.0
    assert given_v.tobytes() == CELL_V.tobytes()


def test_the_population_of_signatures() -> None:
    signatures_v = []
    for seed in range(40):
        plant = Plant(facts_of("AS52"), PlantCondition(), seed)
        rest_v = plant.cell_voltage_v(0.5)
        for group in range(3):
            plant.bleed(1.0 + group, sum(1 << cell for cell in range(group, 96, 3)))
            bleeding = slice(group, None, 3)
            signatures_v.append((rest_v - plant.cell_voltage_v(1.5 + group))[bleeding])
    values_v = np.concatenate(signatures_v)
    assert values_v.mean() == pytest.approx(6.6e-3, abs=0.1e-3)
    assert values_v.std() == pytest.approx(0.5e-3, rel=0.1)
