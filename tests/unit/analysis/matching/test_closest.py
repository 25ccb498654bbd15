"""The set around a module has the least range of all sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.analysis.matching.closest import closest_set
from bmsctl.analysis.matching.modules import MatchingError
from tests.reference.matching import closest_range

EDGES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), min_size=1, max_size=7)


@given(EDGES, st.data())
def test_no_set_has_a_smaller_range(edges: list[tuple[int, int]], data: st.DataObject) -> None:
    lowest, highest = [low for low, _ in edges], [low + more for low, more in edges]
    one = data.draw(st.integers(0, len(edges) - 1))
    count = data.draw(st.integers(1, len(edges)))
    places, between = closest_set(lowest, highest, one, count)
    assert between == closest_range(lowest, highest, one, count)
    assert len(set(places.tolist())) == count
    assert one in places
    assert max(highest[at] for at in places) - min(lowest[at] for at in places) == between


def test_of_equally_good_sets_the_earlier_modules() -> None:
    assert closest_set([0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], 2, 3)[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("lowest", "highest", "one", "count"),
    [
        ([1.0, np.nan], [1.0, 1.0], 0, 1),
        ([1.0, 1.0], [np.inf, 1.0], 0, 1),
        ([1.0, 2.0], [1.0, 1.0], 0, 1),
        ([1.0], [1.0, 1.0], 0, 1),
        ([], [], 0, 1),
        ([1.0], [1.0], 1, 1),
        ([1.0], [1.0], 0, 2),
    ],
)
def test_what_is_no_buffer_is_refused(lowest: list[float], highest: list[float], one: int, count: int) -> None:
    with pytest.raises(MatchingError):
        closest_set(lowest, highest, one, count)
