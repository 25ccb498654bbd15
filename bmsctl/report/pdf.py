"""The record as a PDF, typeset by typst: A4, for the archive (PDF/A-2b), the same bytes whenever it is made.

All text reaches the template as data and is never read as markup. Only the fonts inside typst are used; a character
that they do not have is written as its code point, `⟨U+4E2D⟩`, so that nothing is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from bmsctl.domain.quantities import quantity
from bmsctl.domain.recipe import STACKING, Origin, Recipe
from bmsctl.domain.traces import Traces
from bmsctl.errors import BmsctlError
from bmsctl.report.families import families
from bmsctl.report.genealogy import BoltGroup, bolt_groups, part_rows
from bmsctl.report.pack_drawing import pack_drawing
from bmsctl.report.page import STATION_NAMES, meaning
from bmsctl.report.plots import PHASES, measured_in, plots, weld_matrix
from bmsctl.report.story import findings

STANDARD: Literal["a-2b"] = "a-2b"
TEMPLATE = "record.typ"
PAGE = "record.html.j2"
"""The page, whose style sheet colours the pictures here, too."""
FONT = "Libertinus Serif"

_DRAWN = re.compile(
    "[^\t\n\x20-\x7e\xa0-\xac\xae-\u017f\u0391-\u03a1\u03a3-\u03a9\u03b1-\u03c9\u0400-\u045f"
    "\u2010-\u2015\u2018-\u201e\u2020-\u2022\u2026\u2030\u2032\u2033\u20ac\u2126"
    "\u2190-\u2193\u2200\u2202\u2206\u2211\u2212\u221a\u221e\u2248\u2260\u2264\u2265\u2713\u2717\u27e8\u27e9]"
)
"""What is not one of the characters that typst's own fonts have."""
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")


class PdfError(BmsctlError):
    """The PDF cannot be made: typst is not installed, or refuses the document."""


def render_pdf(
    record: Mapping[str, Any],
    recipe: Recipe,
    origins: Mapping[str, Origin],
    traces: Traces,
    other: Mapping[str, Any] | None = None,
) -> bytes:
    """The document; arguments as those of `page.render`. Its date is the record's end, or begin if it is open.

    Raises:
        PdfError: typst is not installed, or refuses the document.
    """
    try:
        import typst
    except ImportError as error:
        raise PdfError(f"a PDF needs typst: pip install 'bmsctl[pdf]' ({error})") from error
    content = json.dumps(_told(document(record, recipe, origins, traces, other)), ensure_ascii=True)
    template = files("bmsctl.report").joinpath(TEMPLATE).read_bytes()
    try:
        pdf = typst.Compiler(ignore_system_fonts=True).compile(
            template,
            format="pdf",
            sys_inputs={"record": content},
            pdf_standards=STANDARD,
            timestamp=int(datetime.fromisoformat(record["ended_at"] or record["started_at"]).timestamp()),
        )
    except typst.TypstError as error:
        raise PdfError(f"record {record['record_id']}: typst refuses the document: {error}; report this") from error
    assert isinstance(pdf, bytes)
    return pdf


def document(
    record: Mapping[str, Any],
    recipe: Recipe,
    origins: Mapping[str, Origin],
    traces: Traces,
    other: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the template says, all of it text; arguments as those of `page.render`."""
    measured, station, genealogy = measured_in(record), record["station"], record["genealogy"]
    serial = record["pack_serial"] or "Pack without serial"
    subtitle = f"{record['pack']} · {STATION_NAMES[station]} · attempt {record['attempt']}"
    return {
        "title": f"{record['verdict'] or 'open'} {serial}",
        "headline": f"{serial} · {subtitle}",
        "record_id": record["record_id"],
        "software": f"bmsctl {record['software']['version']}",
        "serial": serial,
        "subtitle": subtitle,
        "verdict": record["verdict"] or "OPEN",
        "disposition": record["disposition"] or "not decided",
        "meaning": meaning(record),
        "reason": record["reason"] or "",
        "banner": _banner(record),
        "stamp": _stamp(record),
        "facts": _facts(record, recipe),
        "other": _other(other),
        "findings": [
            {"step": each.step, "verdict": each.verdict, "told": _finding(each._asdict())}
            for each in findings(record, recipe, origins)
        ],
        "steps": [_step(step) for step in record["steps"]],
        "drawing": _picture(pack_drawing(record, recipe)) if station == STACKING else "",
        "plots": [plot._replace(svg=_picture(plot.svg))._asdict() for plot in plots(measured, recipe, traces)],
        "phases": [title for _, title in PHASES],
        "matrix": [
            {"label": label, "cells": [cell._asdict() for cell in cells]} for label, cells in weld_matrix(measured)
        ],
        "measured": [
            {"step": step["name"], "rows": list(_rows(step["measurements"]))}
            for step in record["steps"]
            if step["measurements"]
        ],
        "parts": [row._asdict() for row in part_rows(genealogy)],
        "bolts": [_bolts(group) for group in bolt_groups(genealogy, recipe, station)],
        "proof": _proof(record),
    }


def _banner(record: Mapping[str, Any]) -> list[str]:
    """Why it is no production record; nothing if it is one."""
    lines = ["SIMULATED: no pack of this number exists."] if record["simulated"] else []
    if record["mode"] != "Production":
        lines.append(f"{record['mode'].upper()} MODE: not a production record; it releases nothing to a customer.")
    return lines


def _stamp(record: Mapping[str, Any]) -> str:
    """The banner in a word or two, for the head of every page."""
    words = ["simulated"] if record["simulated"] else []
    return " · ".join([*words, *([record["mode"]] if record["mode"] != "Production" else [])])


def _facts(record: Mapping[str, Any], recipe: Recipe) -> list[tuple[str, str]]:
    pack = recipe.pack
    return [
        ("Started", record["started_at"]),
        ("Ended", record["ended_at"] or "–"),
        ("Vehicle", record["vehicle"] or "–"),
        ("Operator", record["operator"] or "–"),
        ("Part number", pack.part_number),
        ("Cells", f"{pack.series}s{pack.parallel}p in {pack.modules} modules"),
        ("Recipe", f"{record['recipe']['id']} revision {record['recipe']['revision']}"),
        ("World, mode", f"{record['world']}, {record['mode']}"),
    ]


def _other(other: Mapping[str, Any] | None) -> str:
    if other is None:
        return ""
    station = STATION_NAMES[other["station"]].capitalize()
    when = f"attempt {other['attempt']} of {other['started_at']}"
    return f"{station}: {other['verdict'] or 'open'}, {when}, record {other['record_id']}."


def _finding(each: Mapping[str, str]) -> list[tuple[str, str]]:
    labels = {"measured": "Measured", "limit": "Limit", "cause": "Likely", "look": "Look at"}
    return [(label, each[key]) for key, label in labels.items() if each[key]]


def _step(step: Mapping[str, Any]) -> dict[str, str]:
    began, took = step["started_s"], step["duration_s"]
    return {
        "name": step["name"],
        "verdict": step["verdict"] or ("not ended" if began is not None else "not run"),
        "reason": (step["reason"] or "").removeprefix("not run: "),
        "began": "" if began is None else f"{began:.1f} s",
        "took": "" if took is None else f"{took:.1f} s",
    }


def _rows(measurements: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """Every measurement in a row; where there is one of each part, the worst of them first, under the common name."""
    for family in families(measurements):
        among = f" ({len(family.members)} parts, worst {family.worst_part})" if family.members else ""
        yield _row(f"{family.name}{among}", "", family.worst)
        for part, each in family.members:
            yield _row(family.name, part, each)


def _row(name: str, part: str, each: Mapping[str, Any]) -> dict[str, str]:
    shown = {key: "" if each[key] is None else quantity(each[key], each["unit"]) for key in ("low", "high")}
    value = "no value" if each["value"] is None else quantity(each["value"], each["unit"])
    u95 = quantity(each["u95"], each["unit"]) if each["u95"] else ""
    reason = "" if each["verdict"] == "PASS" else each["reason"] or ""
    return shown | {
        "name": name,
        "part": part,
        "value": value,
        "u95": u95,
        "verdict": each["verdict"],
        "reason": reason,
    }


def _bolts(group: BoltGroup) -> dict[str, Any]:
    renewed = f", {group.renewed} taken out" if group.renewed else ""
    worst = [
        f"worst {name} {value}"
        for name, value in (("torque", group.worst_torque), ("angle", group.worst_angle))
        if value
    ]
    told = ", ".join([f"{group.n} × {group.part_numbers}{renewed}", *worst])
    return {"holds": group.holds, "told": told, "rows": [row._asdict() for row in group.rows]}


def _proof(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    software = record["software"]
    commit = f", commit {software['git']}" if software["git"] else ""
    return [
        ("Record", record["record_id"]),
        ("Chain head", f"{record['events']['head_sha256']} of {record['events']['n']} events"),
        ("Recipe", record["recipe"]["sha256"]),
        ("Software", f"bmsctl {software['version']}{commit}"),
        ("Command", f"bmsctl records verify {record['record_id']}"),
    ]


def _told(value: Any) -> Any:
    """The same with every text in characters that can be shown."""
    if isinstance(value, str):
        return value if value.startswith("<svg ") else _DRAWN.sub(_named, value)
    if isinstance(value, Mapping):
        return {key: _told(each) for key, each in value.items()}
    return [_told(each) for each in value]


def _named(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found[0]):04X}⟩"


def _picture(svg: str) -> str:
    """An SVG element of the page as a document of its own, with the page's colours; empty if there is none."""
    if not svg:
        return ""
    opening, rest = svg.split(">", 1)
    body = _DRAWN.sub(_named, re.sub(r"<title>.*?</title>", "", rest, flags=re.DOTALL))
    return f'{opening} xmlns="http://www.w3.org/2000/svg"><style>{_style()}</style>{body}'


@cache
def _style() -> str:
    """The page's rules for pictures, with its colours put in for their names."""
    page = files("bmsctl.report").joinpath(PAGE).read_text("utf-8")
    sheet = page.partition("<style>")[2].partition("</style>")[0]
    colours = dict(re.findall(r"--(\w+): *(#\w+)", sheet))
    sheet = re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], sheet)
    kept = [
        f"{selector.strip()}{{{rule}}}"
        for selector, rule in _RULE.findall(sheet)
        if selector.strip().startswith(("svg ", ".pack ")) and "@" not in selector
    ]
    return f"text{{font-family:'{FONT}';font-size:13px}}" + "".join(kept)
