"""`bmsctl analyze spc`: capability and control charts, key by key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import USAGE, leave
from bmsctl.cli.options import json_option
from bmsctl.cli.tables import print_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bmsctl.analysis.spc.chart import Chart
    from bmsctl.analysis.spc.series import Series

DRAWN_MAX = 12
COLUMNS = ("n", "missing", "mean", "sd_within", "sd_overall", "cp", "cpk", "pp", "ppk", "lcl", "ucl")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only this key; may be given several times.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw individuals and moving ranges of each key, as .svg or .png.",
)
@json_option
def spc(file: Path, keys: Sequence[str], plot: Path | None, as_json: bool) -> None:
    """Capability and control limits of each key in FILE, a CSV file in the order of measuring.

    Its columns are key and value, and if there are any lower and upper, the limits of the specification. An empty
    value, nan or inf counts as missing. rule_hits names Nelson's rules and, counted from 0, the key's values that
    break them.
    """
    from bmsctl.analysis.spc.chart import individuals_chart
    from bmsctl.analysis.spc.series import read_series
    from bmsctl.errors import BmsctlError

    try:
        series = read_series(file)
        for key in keys:
            if key not in series:
                leave(USAGE, f"{file}: has no key {key} (found: {', '.join(series)}); correct --key")
        series = {key: series[key] for key in keys or series}
        charts = {key: individuals_chart(each.values, each.lower, each.upper) for key, each in series.items()}
        if plot is not None:
            draw(plot, series, charts)
    except BmsctlError as error:
        leave(USAGE, str(error))
    if as_json:
        told = {key: _told(chart, series[key]) for key, chart in charts.items()}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        _print(charts)


def _told(chart: Chart, series: Series) -> dict[str, object]:
    """What --json prints of a key; null where a figure cannot be had."""
    figures = {name: _number(value) for name, value in chart._asdict().items() if name != "rule_hits"}
    limits = {"lower": _number(series.lower), "upper": _number(series.upper)}
    return {**figures, **limits, "rule_hits": {str(rule): places for rule, places in chart.rule_hits.items()}}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print(charts: Mapping[str, Chart]) -> None:
    rows = []
    for key, chart in charts.items():
        figures = [_number(getattr(chart, name)) for name in COLUMNS]
        hits = ", ".join(f"{rule} ({len(places)})" for rule, places in chart.rule_hits.items())
        rows.append([key, *(None if value is None else f"{value:.6g}" for value in figures), hits or "none"])
    print_table(("key", *COLUMNS, "rules broken"), rows)
    missing = [key for key, chart in charts.items() if chart.missing]
    if missing:
        click.echo(f"values are missing of {', '.join(missing)}; figures are of those that are there", err=True)


def draw(path: Path, series: Mapping[str, Series], charts: Mapping[str, Chart]) -> None:
    """Two panels a key: individuals with their limits and what breaks a rule, and moving ranges."""
    from bmsctl.report.figures import figure

    if len(series) > DRAWN_MAX:
        leave(USAGE, f"{len(series)} keys are too many for one picture; choose up to {DRAWN_MAX} by --key")
    with figure(path, height=2.0 + 3.0 * len(series)) as drawing:
        for row, (key, each) in enumerate(series.items()):
            _draw_key(drawing, (len(series), row), key, each, charts[key])


def _draw_key(drawing: Figure, place: tuple[int, int], key: str, series: Series, chart: Chart) -> None:
    import numpy as np

    from bmsctl.analysis.spc.chart import D2, D4

    rows, row = place
    left, right = (drawing.add_subplot(rows, 2, 2 * row + column) for column in (1, 2))
    numbers = np.arange(len(series.values))
    values = np.where(np.isfinite(series.values), series.values, np.nan)
    left.plot(numbers, values, ".-", color="C0", linewidth=0.8)
    for level, style in ((chart.mean, "-"), (chart.lcl, "--"), (chart.ucl, "--")):
        left.axhline(level, color="C7", linestyle=style, linewidth=1.0)
    for limit in (series.lower, series.upper):
        if math.isfinite(limit):
            left.axhline(limit, color="C3", linestyle=":", linewidth=1.2)
    broken: dict[int, list[str]] = {}
    for rule, hits in chart.rule_hits.items():
        for hit in hits:
            broken.setdefault(hit, []).append(str(rule))
    hit_places = sorted(broken)
    left.plot(hit_places, values[hit_places], "o", color="C3", markersize=5)
    for hit in hit_places:
        left.annotate(",".join(broken[hit]), (hit, values[hit]), textcoords="offset points", xytext=(0, 5), fontsize=7)
    left.set_title(f"{key}: individuals; dashed control limits, dotted specification", fontsize=9)
    left.set_xlabel("value, from 0")
    ranges = np.abs(np.diff(values))
    moving_range = chart.sd_within * D2
    right.plot(numbers[1:], ranges, ".-", color="C0", linewidth=0.8)
    right.axhline(moving_range, color="C7", linewidth=1.0)
    right.axhline(D4 * moving_range, color="C7", linestyle="--", linewidth=1.0)
    right.set_title(f"{key}: moving ranges", fontsize=9)
    right.set_xlabel("value, from 0")
