"""Plots from traces alone: what is drawn, where there is a limit, and what is said of gaps."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from bmsctl.domain.ports import F64
from bmsctl.domain.traces import Trace
from bmsctl.report.plots import Measured, Plot, measured_in, plots, weld_matrix
from tests.support.simulate import RECIPE

SERIES = RECIPE.pack.series
LIMIT: Measured = {("cells_at_rest", "cell_deviation"): {"high": 0.025}}


def cells(volts: F64, measured: Measured = LIMIT) -> tuple[Plot, ElementTree.Element]:
    (plot,) = plots(measured, RECIPE, {("cells_at_rest", "cells"): Trace("V", None, volts)})
    return plot, ElementTree.fromstring(plot.svg)


def classes(svg: ElementTree.Element, tag: str) -> list[str | None]:
    return [element.get("class") for element in svg.iter(tag)]


def texts(svg: ElementTree.Element) -> list[str | None]:
    return [element.text for element in svg.iter("text")]


def test_a_cell_beyond_the_limit_is_marked_and_each_module_named() -> None:
    volts = np.full(SERIES, 3.6)
    volts[16] -= 0.06
    volts[17] += 0.024
    plot, svg = cells(volts)
    dots = classes(svg, "circle")
    assert (len(dots), dots.count("bad"), dots.index("bad")) == (SERIES, 1, 16)
    assert {"module 1", "module 4", "limit +25 mV", "limit -25 mV", "1", "24", "96"} <= set(texts(svg))
    assert plot.caption == "Rest voltages against their median of 3.6000 V."


def test_cells_without_a_value_are_named_and_not_drawn() -> None:
    volts = np.full(SERIES, 3.6)
    volts[[0, 40]] = np.nan
    plot, svg = cells(volts)
    assert len(classes(svg, "circle")) == SERIES - 2
    assert plot.caption.endswith("No value from cell 1, 41.")


def test_cells_that_all_have_no_value_give_an_empty_plot() -> None:
    _, svg = cells(np.full(SERIES, np.nan))
    assert classes(svg, "circle") == []


def test_without_a_limit_none_is_drawn() -> None:
    _, svg = cells(np.full(SERIES, 3.6), {})
    assert "limit" not in classes(svg, "line")


def test_the_upper_limits_text_stays_inside_the_frame() -> None:
    _, svg = cells(np.full(SERIES, 3.6))
    at = {element.text: float(element.get("y", "0")) for element in svg.iter("text")}
    frame = next(element for element in svg.iter("rect"))
    assert at["limit +25 mV"] > float(frame.get("y", "0")) + 10.0
    assert at["limit -25 mV"] > at["limit +25 mV"]


@pytest.mark.parametrize("rate_hz", [None, 0.0])
def test_a_curve_without_a_time_is_not_drawn(rate_hz: float | None) -> None:
    trace = Trace("V", rate_hz, np.zeros(10))
    assert list(plots({}, RECIPE, {("precharge", "link_voltage"): trace, ("insulation_live", "p"): trace})) == []


def test_curves_tell_what_was_measured_by_them() -> None:
    curve = Trace("V", 1000.0, np.linspace(0.0, 350.0, 1200))
    measured: Measured = {
        ("insulation_live", "insulation_plus"): {"value": 16.5e6, "unit": "Ohm"},
        ("insulation_live", "insulation_minus"): {"value": None, "unit": "Ohm"},
        ("precharge", "precharge_resistance"): {"value": 49.7, "unit": "Ohm"},
    }
    traces = {
        ("insulation_live", "plus"): curve,
        ("insulation_live", "minus"): curve._replace(values=-curve.values),
        ("precharge", "link_voltage"): curve,
    }
    live, precharge = plots(measured, RECIPE, traces)
    assert live.caption.endswith("R+ 16.5 MOhm.")
    assert classes(ElementTree.fromstring(live.svg), "polyline") == ["curve0", "curve1"]
    assert {"R0 at minus", "R0 at plus"} <= set(texts(ElementTree.fromstring(live.svg)))
    assert precharge.caption.endswith("Precharge resistance 49.7 Ohm.")


def test_a_leak_test_shows_its_pressure_and_where_it_had_settled() -> None:
    time_s = np.arange(0.0, 50.5, 0.5)
    traces = {
        ("coolant_leak", "time"): Trace("s", None, time_s),
        ("coolant_leak", "pressure"): Trace("Pa", None, 2e5 - 10.0 * time_s),
        ("housing_leak", "pressure"): Trace("Pa", None, time_s),
    }
    measured: Measured = {("coolant_leak", "leak_rate"): {"value": 0.35, "unit": "cm3/min"}}
    (plot,) = plots(measured, RECIPE, traces)
    svg = ElementTree.fromstring(plot.svg)
    (curve,) = svg.iter("polyline")
    heights = [float(point.split(",")[1]) for point in (curve.get("points") or "").split()]
    assert (plot.title, len(heights)) == ("Coolant leak", len(time_s))
    assert heights == sorted(heights), "the pressure falls"
    assert {"settled", "gauge pressure, kPa", "199.6"} <= set(texts(svg))
    assert plot.caption.endswith("Leak rate 0.35 cm3/min.")


def test_the_weld_matrix_has_what_was_seen_and_a_dash_for_the_rest() -> None:
    steps = [
        {
            "name": "contactors_open",
            "measurements": [
                {"name": "u_pn_all_open", "value": 0.1, "unit": "V", "verdict": "PASS"},
                {"name": "p_b_minus_all_open", "value": None, "unit": "V", "verdict": "INVALID"},
            ],
        }
    ]
    load, tap = weld_matrix(measured_in({"steps": steps}))
    assert [cell.value for cell in load[1]] == ["100 mV", "–", "–"]
    assert (tap[1][0].value, tap[1][0].verdict, tap[1][1].verdict) == ("no value", "INVALID", "")
    assert weld_matrix({}) == []
