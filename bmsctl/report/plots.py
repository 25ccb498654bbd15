"""The plots of a record: cells by module, insulation curve, leak tests, precharge curve, weld matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from bmsctl.domain.ports import F64
from bmsctl.domain.quantities import quantity
from bmsctl.domain.recipe import EOL, STACKING, Recipe
from bmsctl.domain.traces import Trace, Traces
from bmsctl.report.svg import Chart, padded

Measured = Mapping[tuple[str, str], Mapping[str, Any]]
"""Measurements of a record by step and name."""

MILLI = 1e3
KILO = 1e3

PHASES = (("all_open", "all open"), ("precharge_only", "precharge only"), ("main_minus_only", "main minus only"))

LEAK_TESTS = {"coolant_leak": "Coolant leak", "housing_leak": "Housing leak"}


class Plot(NamedTuple):
    """A figure: title, caption, and an SVG element."""

    title: str
    caption: str
    svg: str


class MatrixCell(NamedTuple):
    """One phase of the weld test: what was seen, and its verdict."""

    value: str
    verdict: str


def measured_in(record: Mapping[str, Any]) -> Measured:
    """The measurements of a record."""
    return {(step["name"], each["name"]): each for step in record["steps"] for each in step["measurements"]}


def plots(measured: Measured, recipe: Recipe, traces: Traces) -> Iterator[Plot]:
    """Every plot there is data for."""
    cells = traces.get(("cells_at_rest", "cells"))
    if cells is not None:
        yield _cells(cells.values, recipe, measured)
    live = {name: trace for (step, name), trace in traces.items() if step == "insulation_live" and trace.sample_rate_hz}
    if live:
        yield _insulation(live, recipe, measured)
    for step, title in LEAK_TESTS.items():
        time, pressure = traces.get((step, "time")), traces.get((step, "pressure"))
        if time is not None and pressure is not None and len(time.values) > 1:
            yield _leak(step, title, time.values, pressure.values, recipe, measured)
    link = traces.get(("precharge", "link_voltage"))
    if link is not None and link.sample_rate_hz:
        yield _precharge(link, measured)


def _cells(volts: F64, recipe: Recipe, measured: Measured) -> Plot:
    """Each cell's distance from the pack's median, module by module."""
    median_v = float(np.nanmedian(volts)) if np.isfinite(volts).any() else 0.0
    deviation_mv = MILLI * (volts - median_v)
    high = measured.get(("cells_at_rest", "cell_deviation"), {}).get("high")
    limit_mv = np.inf if high is None else MILLI * high
    bounds = [-limit_mv, limit_mv] if np.isfinite(limit_mv) else []
    y_range = padded([*deviation_mv.tolist(), *bounds], 2.0)
    title = "Cells by module"
    chart = Chart(title, "cell, from the negative pole", "from median, mV", (0.0, len(volts) + 1.0), y_range)
    per_module = len(volts) // recipe.pack.modules
    for module in range(recipe.pack.modules):
        chart.mark(module * per_module + 0.5, f"module {module + 1}")
    for bound in bounds:
        chart.level(bound, "limit", f"limit {bound:+.0f} mV")
    for cell in np.flatnonzero(np.isfinite(volts)).tolist():
        css = "bad" if abs(deviation_mv[cell]) > limit_mv else "cell"
        chart.dot(cell + 1.0, float(deviation_mv[cell]), css, f"cell {cell + 1}: {volts[cell]:.4f} V")
    chart.x_ticks([(1.0, "1"), *((float(n), str(n)) for n in range(per_module, len(volts) + 1, per_module))])
    missing = [str(cell + 1) for cell in np.flatnonzero(~np.isfinite(volts)).tolist()]
    gap = f" No value from cell {', '.join(missing)}." if missing else ""
    return Plot(title, f"Rest voltages against their median of {median_v:.4f} V.{gap}", chart.render())


def _insulation(curves: Mapping[str, Trace], recipe: Recipe, measured: Measured) -> Plot:
    """The poles against chassis while the test resistor moves."""
    title = "Insulation, live"
    end_s = max(len(trace.values) / (trace.sample_rate_hz or 1.0) for trace in curves.values())
    values = np.concatenate([trace.values for trace in curves.values()])
    chart = Chart(title, "time, s", "pole to chassis, V", (0.0, end_s), padded(values.tolist(), 10.0))
    step = next(each for each in recipe.steps(EOL) if each.run == "insulation_live")
    free_s = step.quantity("record_free")
    chart.mark(free_s, "R0 at minus")
    chart.mark(free_s + step.quantity("record_minus"), "R0 at plus")
    for index, trace in enumerate(curves.values()):
        time_s = np.arange(len(trace.values)) / (trace.sample_rate_hz or 1.0)
        chart.line(time_s, trace.values, f"curve{index % 2}")
    chart.x_ticks()
    said = {"insulation_plus": "R+", "insulation_minus": "R−", "y_capacitance": "C_Y"}
    told = [_told(label, measured.get(("insulation_live", name))) for name, label in said.items()]
    caption = " ".join(("Plus above, minus below; R0 is the test resistor.", *filter(None, told)))
    return Plot(title, caption, chart.render())


def _precharge(link: Trace, measured: Measured) -> Plot:
    title = "Precharge"
    time_ms: F64 = MILLI * np.arange(len(link.values), dtype=np.float64) / (link.sample_rate_hz or 1.0)
    y_range = padded(link.values.tolist(), 10.0)
    chart = Chart(title, "time, ms", "link voltage, V", (0.0, float(time_ms[-1])), y_range)
    chart.line(time_ms, link.values, "curve0")
    chart.x_ticks()
    told = _told("Precharge resistance", measured.get(("precharge", "precharge_resistance")))
    return Plot(title, f"Voltage of the station's link capacitor. {told}", chart.render())


def _leak(step: str, title: str, time_s: F64, pressure_pa: F64, recipe: Recipe, measured: Measured) -> Plot:
    """The pressure from the end of filling on."""
    kilopascal: F64 = pressure_pa / KILO
    y_range = padded(kilopascal.tolist(), 0.01)
    chart = Chart(title, "time from the end of filling, s", "gauge pressure, kPa", (0.0, float(time_s[-1])), y_range)
    chart.mark(next(each for each in recipe.steps(STACKING) if each.run == step).quantity("settle"), "settled")
    chart.line(time_s, kilopascal, "curve0")
    chart.x_ticks()
    caption = "As measured. The leak rate is that of the settled part, corrected for air temperature and weather."
    told = _told("Leak rate", measured.get((step, "leak_rate")))
    return Plot(title, f"{caption} {told}".rstrip(), chart.render())


def _told(label: str, each: Mapping[str, Any] | None) -> str:
    if each is None or each["value"] is None:
        return ""
    return f"{label} {quantity(each['value'], each['unit'])}."


def weld_matrix(measured: Measured) -> list[tuple[str, list[MatrixCell]]]:
    """What load and tap saw in each of PHASES, by row; empty if the weld test was not begun."""
    rows = []
    for name, label in (("u_pn", "U_PN under load"), ("p_b_minus", "P against B−")):
        cells = [_matrix_cell(measured.get(("contactors_open", f"{name}_{phase}"))) for phase, _ in PHASES]
        rows.append((label, cells))
    return rows if any(cell.verdict for _, cells in rows for cell in cells) else []


def _matrix_cell(each: Mapping[str, Any] | None) -> MatrixCell:
    if each is None:
        return MatrixCell("–", "")
    value = "no value" if each["value"] is None else quantity(each["value"], each["unit"])
    return MatrixCell(value, each["verdict"])
