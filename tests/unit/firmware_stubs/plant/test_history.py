"""What held a while ago is remembered, and months are not."""

from __future__ import annotations

import math

import pytest

from firmware_stubs.plant.history import REMEMBERED_S, TRIMMED_AT, History


def test_a_value_holds_until_the_next() -> None:
    history = History(-math.inf, "a")
    history.append(1.0, "b")
    history.append(1.0, "c")
    history.append(2.0, "d")
    assert [history.at(t_s) for t_s in (-5.0, 0.999, 1.0, 1.5, 2.0, 9.0)] == ["a", "a", "c", "c", "d", "d"]
    assert history.last == "d"


def test_before_the_first_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="only 3"):
        History(3.0, "a").at(2.9)


def test_the_past_is_forgotten_but_not_the_last_minutes() -> None:
    history = History(0.0, 0)
    for k in range(1, 5 * TRIMMED_AT):
        history.append(float(k), k)
        if k > REMEMBERED_S:
            assert history.at(k - REMEMBERED_S) == k - REMEMBERED_S
    with pytest.raises(ValueError, match="remembered"):
        history.at(10.0)
