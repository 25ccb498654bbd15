"""The record as one self-contained HTML page: no script, nothing loaded from anywhere, good on paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bmsctl.domain.quantities import quantity
from bmsctl.domain.recipe import EOL, SELFTEST, STACKING, Origin, Recipe
from bmsctl.domain.traces import Traces
from bmsctl.report.families import families
from bmsctl.report.genealogy import bolt_groups, part_rows
from bmsctl.report.pack_drawing import pack_drawing
from bmsctl.report.plots import PHASES, measured_in, plots, weld_matrix
from bmsctl.report.story import findings, skipped

STATION_NAMES = {EOL: "end of line", STACKING: "stacking", SELFTEST: "self-test"}
SIGNS = {"PASS": "✓", "FAIL": "✗", "INVALID": "?", "ABORTED": "–"}
MEANING = {
    "PASS": "The pack conforms and is released.",
    "FAIL": "The pack does not conform.",
    "INVALID": "The pack is not judged: something could not be measured, or it is not the pack it should be.",
    "ABORTED": "The run was ended before its time; the pack is not judged.",
    None: "The attempt is not closed yet.",
}
STACKING_MEANING = {
    "PASS": "The pack is built as it should be, and released to end of line.",
    "FAIL": "The pack, or a part of it, does not conform.",
} | {verdict: MEANING[verdict] for verdict in ("INVALID", "ABORTED", None)}
STATION_MEANING = {
    "PASS": "The station is fit for high voltage.",
    "FAIL": "The station is not fit: run no step with high voltage on it until it is repaired.",
    "INVALID": "The station could not be tested: run no step with high voltage on it until it is repaired.",
    "ABORTED": "The self-test was ended before its time: repeat it before any step with high voltage.",
    None: "The self-test is not closed yet.",
}


def meaning(record: Mapping[str, Any]) -> str:
    """What the record's verdict says, of the pack or, after a self-test, of the station."""
    table = {SELFTEST: STATION_MEANING, STACKING: STACKING_MEANING}.get(record["station"], MEANING)
    return table[record["verdict"]]


def render(
    record: Mapping[str, Any],
    recipe: Recipe,
    origins: Mapping[str, Origin],
    traces: Traces,
    other: Mapping[str, Any] | None = None,
) -> str:
    """The page.

    Args:
        recipe: the one the record was judged by.
        origins: where its values came from; empty if its files are no longer there.
        other: the record of the same pack at the other station, whose page lies beside this one; it is linked to.
    """
    environment = Environment(
        loader=PackageLoader("bmsctl.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["quantity"] = lambda each, key: _shown(each, key)
    measured = measured_in(record)
    station, genealogy = record["station"], record["genealogy"]
    drawn = [plot._replace(svg=Markup(plot.svg)) for plot in plots(measured, recipe, traces)]
    return environment.get_template("record.html.j2").render(
        record=record,
        recipe=recipe,
        other=other,
        link=quote(f"{other['record_id']}.html", safe="") if other else "",
        stations=STATION_NAMES,
        signs=SIGNS,
        meaning=meaning(record),
        findings=list(findings(record, recipe, origins)),
        skipped=skipped(record),
        drawing=Markup(pack_drawing(record, recipe)) if station == STACKING else "",
        measured=[(step["name"], families(step["measurements"])) for step in record["steps"] if step["measurements"]],
        parts=part_rows(genealogy),
        bolts=bolt_groups(genealogy, recipe, station),
        plots=drawn,
        phases=[title for _, title in PHASES],
        weld_matrix=weld_matrix(measured),
        span_s=_span_s(record),
        position=position,
    )


def _shown(each: Mapping[str, Any], key: str) -> str:
    return "" if each[key] is None else quantity(each[key], each["unit"])


def _span_s(record: Mapping[str, Any]) -> float:
    """From the attempt's start to the end of its last step."""
    ends = [step["started_s"] + step["duration_s"] for step in record["steps"] if step["duration_s"] is not None]
    return max(ends, default=1.0) or 1.0


def position(each: Mapping[str, Any]) -> float | None:
    """Where a value lies between its two limits, 0 to 100, or None where there are not two, or no value."""
    low, high, value = each["low"], each["high"], each["value"]
    if None in (low, high, value) or high <= low:
        return None
    share: float = (value - low) / (high - low)
    return 100.0 * min(max(share, 0.0), 1.0)
