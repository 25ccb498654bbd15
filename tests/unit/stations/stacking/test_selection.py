"""The rules by which modules become a pack."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.ports import ModuleData
from bmsctl.domain.units import Volt
from bmsctl.errors import Refused
from bmsctl.stations.stacking.selection import ClosestVoltages, OldestFirst
from tests.support.stacking_parts import module

BUFFER = st.lists(
    st.builds(
        lambda number, part, lot, age: module(number, serial=f"M{number}", part_number=part, lot=lot, age=age),
        st.integers(),
        st.sampled_from("PQ"),
        st.sampled_from("ABC"),
        st.integers(0, 90),
    ),
    max_size=14,
    unique_by=lambda each: each.serial,
)


def serials(*modules: ModuleData, count: int) -> list[str]:
    return [each.serial for each in OldestFirst().select(modules, count)]


def test_the_oldest_first_of_one_lot() -> None:
    modules = [module(1, age=1.0), module(2, age=3.0), module(3, age=2.0)]
    assert serials(*modules, count=2) == ["M2", "M3"]


def test_a_lot_that_has_enough_goes_before_an_older_one_that_has_not() -> None:
    modules = [module(1, lot="old", age=9.0), module(2, lot="new", age=2.0), module(3, lot="new", age=1.0)]
    assert serials(*modules, count=2) == ["M2", "M3"]


def test_of_two_lots_with_enough_the_one_with_the_oldest_module() -> None:
    ages = (("a", 5.0), ("b", 9.0), ("a", 6.0), ("b", 1.0))
    modules = [module(number, lot=lot, age=age) for number, (lot, age) in enumerate(ages)]
    assert serials(*modules, count=2) == ["M1", "M3"]


def test_lots_are_mixed_only_when_none_has_enough_and_part_numbers_never() -> None:
    modules = [
        module(1, lot="a", age=1.0),
        module(2, lot="b", age=2.0),
        module(3, part_number="other", lot="c", age=9.0),
    ]
    assert serials(*modules, count=2) == ["M2", "M1"]
    with pytest.raises(Refused, match="3 modules of one part number are needed, the buffer has 2"):
        serials(*modules, count=3)


def test_an_empty_buffer_is_refused() -> None:
    with pytest.raises(Refused, match="the buffer has 0"):
        serials(count=1)


@given(BUFFER, st.integers(1, 5))
def test_whatever_is_selected_is_of_one_part_number_and_nothing_older_of_its_kind_is_left(
    buffer: list[ModuleData], count: int
) -> None:
    most = max(Counter(each.part_number for each in buffer).values(), default=0)
    if most < count:
        with pytest.raises(Refused):
            OldestFirst().select(buffer, count)
        return
    chosen = OldestFirst().select(buffer, count)
    lots = Counter((each.part_number, each.lot) for each in buffer)
    assert len({each.serial for each in chosen}) == count
    assert len({each.part_number for each in chosen}) == 1
    one_lot = len({each.lot for each in chosen}) == 1
    assert one_lot or max(lots.values()) < count
    left = [each for each in buffer if each not in chosen and each.part_number == chosen[0].part_number]
    if one_lot and max(lots.values()) >= count:
        left = [each for each in left if each.lot == chosen[0].lot]
    assert all(each.age <= chosen[-1].age for each in left)


def at(number: int, *cell_mv: float, **changes: object) -> ModuleData:
    """A module whose cells came in with so many mV above 3.6 V."""
    return module(number, cell_voltage_v=tuple(Volt(3.6 + each / 1e3) for each in cell_mv), **changes)


def closest(*modules: ModuleData, count: int, window_mv: float = 5.0) -> list[str]:
    return [each.serial for each in ClosestVoltages(Volt(window_mv / 1e3)).select(modules, count)]


def test_the_oldest_module_with_those_whose_cells_differ_least() -> None:
    modules = [at(1, 0.0, 1.0), at(2, 4.0, 4.5), at(3, 0.5), at(4, 4.0), at(5, 1.2)]
    assert closest(*modules, count=3) == ["M1", "M3", "M5"]
    assert closest(*modules[1:], count=2) == ["M2", "M4"]


def test_a_module_without_company_waits() -> None:
    modules = [at(1, 40.0), at(2, 0.0), at(3, 9.0), at(4, 4.0), at(5, 1.0)]
    assert closest(*modules, count=3) == ["M2", "M4", "M5"]


def test_of_equally_close_modules_the_older() -> None:
    assert closest(*(at(number, 0.0) for number in (4, 2, 3, 1)), count=2) == ["M1", "M2"]


def test_lots_are_mixed_only_when_none_has_enough() -> None:
    modules = [at(1, 0.0, lot="a"), at(2, 0.0, lot="b"), at(3, 1.0, lot="b")]
    assert closest(*modules, count=2) == ["M2", "M3"]
    assert closest(*modules, count=3) == ["M1", "M2", "M3"]
    apart = [at(1, 0.0, lot="a"), at(2, 0.0, lot="b"), at(3, 9.0, lot="b")]
    with pytest.raises(Refused, match=r"no 2 modules have cell voltages within 5 mV, the closest differ by 9\.0 mV"):
        closest(*apart, count=2)


def test_part_numbers_are_never_mixed_and_missing_voltages_never_taken() -> None:
    modules = [at(1, 0.0), at(2, 0.0, part_number="other"), at(3), at(4, math.nan), at(5, 0.0, math.nan)]
    with pytest.raises(Refused, match="2 modules of one part number are needed, the buffer has 1 with cell voltages"):
        closest(*modules, count=2)
    with pytest.raises(Refused, match="the buffer has 0"):
        closest(count=1)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=8), st.integers(1, 4))
def test_no_set_with_an_older_module_is_within_the_window(cells: list[tuple[int, int]], count: int) -> None:
    modules = [at(number, low, low + more) for number, (low, more) in enumerate(cells)]

    def between(chosen: tuple[ModuleData, ...]) -> float:
        voltages = [volts for each in chosen for volts in each.cell_voltage_v]
        return max(voltages) - min(voltages)

    possible = [each for each in combinations(modules, count) if between(each) <= 5.5e-3]
    if not possible:
        with pytest.raises(Refused):
            closest(*modules, count=count, window_mv=5.5)
        return
    chosen = tuple(ClosestVoltages(Volt(5.5e-3)).select(modules, count))
    assert chosen[0] is possible[0][0]
    assert between(chosen) == min(between(each) for each in possible if each[0] is chosen[0])
