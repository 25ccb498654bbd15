from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.report.svg import HEIGHT, POINTS_MAX, TOP, WIDTH, Chart, padded, thinned, tick_text, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 10.0, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
        (-1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (0.0, 0.5, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (3.0, 47.0, [10.0, 20.0, 30.0, 40.0]),
    ],
)
def test_ticks_are_round_numbers_within_the_range(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_there_are_neither_too_few_nor_too_many_ticks(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-6 * width <= value <= low + width * (1 + 1e-6) for value in found)


def test_a_tick_at_zero_has_no_sign() -> None:
    assert (tick_text(-1e-17), tick_text(-0.5), tick_text(1200.0)) == ("0", "-0.5", "1200")


def test_padding_leaves_room_and_ignores_what_is_no_number() -> None:
    low, high = padded([1.0, float("nan"), 3.0], 0.5)
    assert low == pytest.approx(0.88)
    assert high == pytest.approx(3.12)
    assert padded([], 2.0) == (-1.0, 1.0)
    assert padded([5.0, 5.0], 2.0) == (4.0, 6.0)


def test_thinning_keeps_every_spike() -> None:
    y = np.zeros(100_000)
    y[54_321], y[77_777] = 9.0, -7.0
    xs, ys = thinned(np.arange(100_000.0), y)
    assert len(xs) <= POINTS_MAX + 3
    assert (max(ys), min(ys)) == (9.0, -7.0)
    assert xs == sorted(xs)
    assert xs[ys.index(9.0)] == 54_321.0


def test_a_gap_breaks_the_curve_and_a_value_outside_stays_in_the_frame() -> None:
    chart = Chart("t", "x", "y", (0.0, 4.0), (0.0, 1.0))
    chart.line(np.arange(5.0), np.array([0.0, 0.5, np.nan, 5.0, 1.0]), "curve0")
    svg = ElementTree.fromstring(chart.render())
    curves = [element.get("points", "") for element in svg.iter("polyline")]
    assert [len(points.split()) for points in curves] == [2, 2]
    assert float(curves[1].split()[0].split(",")[1]) == TOP


def test_texts_are_escaped_and_the_picture_has_a_name() -> None:
    chart = Chart("a <b>", "x & y", "z", (0.0, 1.0), (0.0, 1.0))
    chart.dot(0.5, 0.5, "cell", 'cell "1" < 2')
    text = chart.render()
    svg = ElementTree.fromstring(text)
    assert svg.get("aria-label") == "a <b>"
    assert "<b>" not in text
    assert svg.get("viewBox") == f"0 0 {WIDTH} {HEIGHT}"


def test_a_level_outside_the_range_is_left_out() -> None:
    chart = Chart("t", "x", "y", (0.0, 1.0), (0.0, 1.0))
    before = chart.render()
    chart.level(2.0, "limit", "too high")
    assert chart.render() == before
