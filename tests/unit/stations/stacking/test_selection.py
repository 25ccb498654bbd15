"""The simple rule by which modules become a pack."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.ports import ModuleData
from bmsctl.errors import Refused
from bmsctl.stations.stacking.selection import OldestFirst
from tests.support.fake_stacking import module

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
