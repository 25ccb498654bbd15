"""The record as a PDF: everything in it, nothing read as markup, the same bytes each time, and no font from outside."""

from __future__ import annotations

import builtins
import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.compose.reports import write_pdf
from bmsctl.report import pdf
from bmsctl.report.pdf import PdfError, document, render_pdf
from bmsctl.store.reader import Reader, Told
from tests.support.attempts import RECIPE, store_of

typst = pytest.importorskip("typst")

NASTY = r"""AS52-#set page(fill: red)$\ "quoted" *bold* _it_ `raw` <tag> @ref [x] {y} // /* 100 % é µ Ω ✓"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A good record with its recipe and traces."""
    folder = tmp_path_factory.mktemp("pdf") / "store"
    (record,) = store_of(folder)
    with Reader.open(folder) as reader:
        return reader.told(record["record_id"])


def _changed(told: Told, **values: Any) -> bytes:
    return render_pdf(copy.deepcopy(told.record) | values, told.recipe, {}, told.traces)


def test_twice_made_it_is_the_same_and_its_date_is_the_records(told: Told) -> None:
    first = _changed(told)
    assert first.startswith(b"%PDF-")
    assert _changed(told) == first
    assert b"D:20260101000100" in first
    assert _changed(told, ended_at="2027-03-04T05:06:07Z") != first
    assert b"D:20260101000000" in _changed(told, ended_at=None)


def test_its_fonts_are_embedded(told: Told) -> None:
    made = _changed(told)
    assert made.count(b"/FontFile") >= 2
    names = set(re.findall(rb"/FontName */[A-Z]{6}\+(\w+)", made))
    assert names
    assert all(name.startswith((b"Libertinus", b"DejaVu", b"NewCM")) for name in names)


def test_no_text_is_read_as_markup(told: Told) -> None:
    made = _changed(told, pack_serial=NASTY, reason=NASTY * 70, operator="#panic()", vehicle="$x")
    assert made.startswith(b"%PDF-")
    said = document(told.record | {"pack_serial": NASTY}, told.recipe, {}, told.traces)
    assert said["serial"] == NASTY


@settings(max_examples=12, deadline=None)
@given(text=st.text(st.characters(), max_size=200))
def test_any_text_at_all_makes_a_document(told: Told, text: str) -> None:
    assert _changed(told, reason=text, operator=text).startswith(b"%PDF-")


def test_what_the_fonts_have_not_is_told_by_its_code_point() -> None:
    assert pdf._told("pack 中, \udc80, \x07, é") == "pack ⟨U+4E2D⟩, ⟨U+DC80⟩, ⟨U+0007⟩, é"


def test_the_fonts_have_every_character_that_is_let_through(told: Told) -> None:
    """PDF/A forbids a character without a picture, so typst would refuse this document."""
    let_through = "".join(chr(code) for code in range(0x3000) if not pdf._DRAWN.match(chr(code)))
    assert len(let_through) > 400
    assert "✓" in let_through
    assert _changed(told, reason=let_through, record_id=let_through).startswith(b"%PDF-")


def test_a_long_reason_and_a_word_without_end_break(told: Told) -> None:
    assert len(_pages(told, reason="x" * 5000)) > len(_pages(told, reason=None))


def test_every_measurement_is_there_with_all_it_was_judged_by(told: Told) -> None:
    said = document(told.record, told.recipe, {}, told.traces)
    rows = {(step["step"], row["name"]): row for step in said["measured"] for row in step["rows"]}
    asked = {(step["name"], each["name"]) for step in told.record["steps"] for each in step["measurements"]}
    assert set(rows) == asked
    row = rows["precharge", "resistance"]
    assert (row["value"], row["u95"], row["low"], row["high"]) == ("50.12 Ohm", "500 mOhm", "40 Ohm", "60 Ohm")
    assert row["verdict"] == "PASS"


def test_of_parts_the_worst_and_each_is_told(told: Told) -> None:
    record = copy.deepcopy(told.record)
    (one,) = [step for step in record["steps"] if step["name"] == "precharge"]
    each = one["measurements"][0]
    bad = {"value": 70.0, "verdict": "FAIL", "reason": "above high"}
    one["measurements"] = [each | {"name": "resistance[a]"}, each | {"name": "resistance[b]"} | bad]
    rows = list(pdf._rows(one["measurements"]))
    assert [(row["part"], row["verdict"]) for row in rows] == [("", "FAIL"), ("a", "PASS"), ("b", "FAIL")]
    assert rows[0]["name"] == "resistance (2 parts, worst b)"


@pytest.mark.parametrize(
    ("simulated", "mode", "lines", "stamp"),
    [
        (True, "Engineering", 2, "simulated · Engineering"),
        (False, "Maintenance", 1, "Maintenance"),
        (False, "Production", 0, ""),
    ],
)
def test_what_is_no_production_record_says_so(told: Told, simulated: bool, mode: str, lines: int, stamp: str) -> None:
    said = document(told.record | {"simulated": simulated, "mode": mode}, told.recipe, {}, told.traces)
    assert (len(said["banner"]), said["stamp"]) == (lines, stamp)
    assert all("not a production record" in line or "SIMULATED" in line for line in said["banner"])


@pytest.mark.parametrize("verdict", ["PASS", "FAIL", "INVALID", "ABORTED", None])
def test_every_verdict_has_its_first_page(told: Told, verdict: str | None) -> None:
    assert _changed(told, verdict=verdict, disposition=None).startswith(b"%PDF-")


def test_pictures_have_the_pages_colours_and_no_name_left() -> None:
    style = pdf._style()
    assert "svg .limit{ stroke: #a3131b" in style
    assert "var(" not in style
    assert pdf._picture("") == ""
    assert pdf._picture('<svg class="chart"><title>x</title></svg>').startswith('<svg class="chart" xmlns=')


def test_without_typst_it_says_what_to_install(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name == "typst":
            raise ImportError("no typst here")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(PdfError, match=r"pip install 'bmsctl\[pdf\]'"):
        _changed(told)


def test_a_document_that_typst_refuses_is_said(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "STANDARD", "a-1a")
    monkeypatch.setattr(pdf, "_told", lambda value: {})
    with pytest.raises(PdfError, match="typst refuses"):
        _changed(told)


def test_the_pdf_lies_beside_the_page_and_says_what_the_other_station_found(tmp_path: Path) -> None:
    (record,) = store_of(tmp_path / "store")
    path = write_pdf(tmp_path / "store", record["record_id"], None)
    assert path == tmp_path / "store" / "reports" / f"{record['record_id']}.pdf"
    before = path.read_bytes()
    assert write_pdf(tmp_path / "store", record["record_id"], None).read_bytes() == before
    other = record | {"station": "stacking", "verdict": "PASS"}
    assert document(record, RECIPE, {}, {}, other)["other"].startswith("Stacking: PASS, attempt 1 of 2026")


def _pages(told: Told, **values: Any) -> list[bytes]:
    """The document's pages as pictures."""
    said = json.dumps(pdf._told(document(told.record | values, told.recipe, {}, told.traces)))
    template = Path(pdf.__file__).with_name(pdf.TEMPLATE).read_bytes()
    made = typst.Compiler(ignore_system_fonts=True).compile(template, format="png", ppi=20, sys_inputs={"record": said})
    return made if isinstance(made, list) else [made]
