"""The page of a record, as a browser reads it: complete, closed in itself, and safe against what people write."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bmsctl.domain.quantities import quantity
from bmsctl.report.page import MEANING, position, render
from bmsctl.store.reader import Reader, Told
from tests.support.simulate import RECIPE, Simulation, defect

EVIL = "<b>&\"'</b><script>alert(1)</script>"
SCENARIO = "\n".join(
    [
        defect("cell_voltage", cell=17, offset="-60 mV"),
        defect("insulation", side="positive", resistance="100 kOhm"),
    ]
)


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self._in_cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        self.texts.append(data)
        if self._in_cell:
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


class Rendered(NamedTuple):
    """A record and its page."""

    told: Told
    text: str
    page: Page


def rendered(told: Told, **changes: Any) -> Rendered:
    """The page of a record, some of its keys changed."""
    told = told._replace(record=copy.deepcopy(told.record) | changes)
    text = render(told.record, told.recipe, RECIPE.provenance, told.traces)
    return Rendered(told, text, Page(text))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A pack with two defects, as stored; not to be changed."""
    store: Path = tmp_path_factory.mktemp("page") / "store"
    record = Simulation(store, seed=3, scenario=SCENARIO).run()
    assert record["verdict"] == "FAIL"
    with Reader.open(store) as reader:
        return reader.told(record["record_id"])


@pytest.fixture(scope="module")
def failed(told: Told) -> Rendered:
    return rendered(told)


def test_the_page_is_well_formed_and_closed_in_itself(failed: Rendered) -> None:
    assert failed.text.startswith("<!DOCTYPE html>")
    assert failed.page.open == []
    names = {name for name, _ in failed.page.tags}
    assert names.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use"})
    attributes = {name for _, given in failed.page.tags for name in given}
    assert attributes.isdisjoint({"src", "href", "xlink:href", "srcset", "action", "data"})
    assert not any(name.startswith("on") for name in attributes)
    for forbidden in ("http", "url(", "@import", "javascript:"):
        assert forbidden not in failed.text


def test_every_measurement_is_on_the_page_with_limits_and_verdict(failed: Rendered) -> None:
    rows = [[cell.strip() for cell in row] for row in failed.page.rows]
    wanted = [each for step in failed.told.record["steps"] for each in step["measurements"]]
    assert len(wanted) > 60
    for each in wanted:
        texts = ["" if each[key] is None else quantity(each[key], each["unit"]) for key in ("value", "low", "high")]
        found = [
            row
            for row in rows
            if len(row) == 7 and row[0].startswith(each["name"]) and row[6] == each["verdict"]
            and [row[1], row[3], row[4]] == [texts[0] or "no value", *texts[1:]]
        ]  # fmt: skip
        assert found, each


def test_every_step_is_there_with_its_verdict_and_what_was_not_run_with_its_reason(failed: Rendered) -> None:
    rows = {row[0].split("\n")[0]: row for row in failed.page.rows if len(row) in (3, 4)}
    for step in failed.told.record["steps"]:
        row = next(row for name, row in rows.items() if name.startswith(step["name"]))
        assert row[1] == (step["verdict"] or "not run")
        if step["verdict"] is None:
            assert row[2] == step["reason"].removeprefix("not run: ")
        else:
            assert row[2] == f"{step['duration_s']:.1f} s"
    assert any(step["verdict"] is None for step in failed.told.record["steps"])


def test_what_decided_it_is_told_with_file_and_line(failed: Rendered) -> None:
    origin = RECIPE.provenance["eol.cells_at_rest.limits.cell_deviation.high"]
    assert f"{origin.file} line {origin.line}" in failed.page.text
    assert MEANING["FAIL"] in failed.page.text
    assert failed.told.record["reason"] in failed.page.text


def test_the_plots_show_the_bad_cell_and_the_curves(failed: Rendered) -> None:
    charts = [given["aria-label"] for name, given in failed.page.tags if name == "svg"]
    assert charts == ["Cells by module", "Insulation, live", "Precharge"]
    dots = [given["class"] for name, given in failed.page.tags if name == "circle"]
    assert (len(dots), dots[16], dots.count("bad")) == (RECIPE.pack.series, "bad", 1)
    assert "cell 17: 3." in failed.page.text
    curves = [given["class"] for name, given in failed.page.tags if name == "polyline"]
    assert sorted(set(curves), key=str) == ["curve0", "curve1"]


def test_texts_are_escaped_wherever_they_come_from(told: Told) -> None:
    steps = copy.deepcopy(told.record["steps"])
    bad = next(step for step in steps if step["verdict"] == "FAIL")
    bad["reason"] = EVIL
    failing = next(each for each in bad["measurements"] if each["verdict"] == "FAIL")
    failing["reason"] = f"above high: {EVIL}"
    slot = dict.fromkeys(("slot", "part_number", "serial", "lot", "removed_reason"), EVIL)
    part: Mapping[str, Any] = {**slot, "incoming": [], "tightenings": []}
    texts = dict.fromkeys(("pack_serial", "reason", "operator", "vehicle", "pack", "world", "record_id"), EVIL)
    made = rendered(told, steps=steps, genealogy=[part], **texts)
    assert "script" not in {name for name, _ in made.page.tags}
    assert "alert(1)</script>" not in made.text
    assert sum(name == "b" for name, _ in made.page.tags) == 1
    assert made.page.text.count(EVIL) >= 12


@pytest.mark.parametrize("steps_done", [0, 5, 12])
def test_an_open_record_renders(told: Told, steps_done: int) -> None:
    steps = copy.deepcopy(told.record["steps"])
    for index, step in enumerate(steps[steps_done:]):
        running = index == 0
        step |= {"verdict": None, "duration_s": None, "started_s": 1.0 if running else None}
        step |= {"reason": "running" if running else "not run yet", "measurements": [], "traces": []}
    nothing = dict.fromkeys(("verdict", "reason", "disposition", "ended_at", "pack_serial"))
    page = rendered(told, steps=steps, **nothing).page
    assert MEANING[None] in page.text
    assert "OPEN" in page.text
    assert "Pack without serial" in page.text
    rows = [row for row in page.rows if len(row) == 3 and row[2] in ("running", "not run yet")]
    assert [row[1] for row in rows] == ["not ended", *["not run"] * (len(steps) - steps_done - 1)]


def test_a_record_without_traces_renders_without_plots(told: Told) -> None:
    page = rendered(told._replace(traces={})).page
    assert "svg" not in {name for name, _ in page.tags}
    assert "Weld matrix" in page.text


@pytest.mark.parametrize("verdict", ["PASS", "INVALID", "ABORTED"])
def test_every_verdict_has_its_words_and_its_colour(told: Told, verdict: str) -> None:
    page = rendered(told, verdict=verdict).page
    assert MEANING[verdict] in page.text
    assert ("div", {"class": f"slab {verdict}"}) in page.tags


@pytest.mark.parametrize(
    ("low", "high", "value", "expected"),
    [
        (0.0, 10.0, 2.5, 25.0),
        (0.0, 10.0, -3.0, 0.0),
        (0.0, 10.0, 30.0, 100.0),
        (None, 10.0, 3.0, None),
        (0.0, None, 3.0, None),
        (0.0, 10.0, None, None),
        (1.0, 1.0, 1.0, None),
    ],
)
def test_where_a_value_lies(low: float | None, high: float | None, value: float | None, expected: float | None) -> None:
    assert position({"low": low, "high": high, "value": value}) == expected
