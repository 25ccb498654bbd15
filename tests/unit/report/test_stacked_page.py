"""The page of a stacked pack, as a browser reads it."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from bmsctl.domain.quantities import quantity
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.record_schema import SCHEMA
from bmsctl.report.page import STACKING_MEANING, render
from tests.unit.report.stacked import AM60, AS52, bad_bolt, cloned, part, record, reworked
from tests.unit.report.test_page import EVIL, Page

RECORDS = {"good": record, "bad bolt": bad_bolt, "cloned": cloned, "reworked": reworked}


class Folded(Page):
    """A page that knows which rows are shown only when asked for."""

    rows_in_details = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows_in_details += tag == "tr" and "details" in self.open
        super().handle_starttag(tag, attrs)


def page_of(told: dict[str, Any], recipe: Recipe = AS52, other: dict[str, Any] | None = None) -> Folded:
    return Folded(render(told, recipe, recipe.provenance, {}, other))


@pytest.mark.parametrize("made", RECORDS.values(), ids=RECORDS)
def test_the_records_made_by_hand_are_records_and_give_pages(made: Any) -> None:
    told = made()
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    page = page_of(told)
    assert page.open == []
    assert STACKING_MEANING[told["verdict"]] in page.text
    assert [given["aria-label"] for name, given in page.tags if name == "svg"] == ["Pack drawing"]


def test_nothing_is_loaded_and_nothing_runs() -> None:
    page = page_of(record())
    assert {name for name, _ in page.tags}.isdisjoint({"script", "link", "img", "a", "use", "foreignObject"})
    assert {name for _, given in page.tags for name in given}.isdisjoint({"src", "href", "onclick", "onload"})


def test_a_family_is_one_row_with_its_worst_member_and_all_members_are_there() -> None:
    told = record()
    step = next(made for made in told["steps"] if made["name"] == "bolts")
    low = next(each for each in step["measurements"] if each["name"] == "torque[m2.3]")
    low["value"] = 22.9
    page = page_of(told)
    row = next(row for row in page.rows if row[0].startswith("torque") and "m2.3" in row[0])
    assert "32 parts, worst m2.3" in row[0]
    assert [row[index].strip() for index in (1, 3, 4, 6)] == ["22.9 Nm", "22.5 Nm", "27.5 Nm", "PASS"]
    assert sum(given.get("class") == "members" for name, given in page.tags if name == "div") == len(
        {each["name"].partition("[")[0] + step["name"] for step in told["steps"] for each in step["measurements"]
         if "[" in each["name"]}
    )  # fmt: skip
    for step in told["steps"]:
        for each in step["measurements"]:
            name, _, rest = each["name"].partition("[")
            assert f"{rest.removesuffix(']') or name} " in page.text
            assert quantity(each["value"], each["unit"]) in page.text


def test_members_that_did_not_pass_are_told_once_with_the_reason() -> None:
    page = page_of(bad_bolt())
    row = next(row for row in page.rows if row[0].startswith("torque"))
    assert "m1.3: below low: tightening 4712" in row[0]
    assert row[0].count("missing: the step ended before it was measured") == 1
    assert row[6] == "FAIL"
    assert "1 FAIL, 29 INVALID, 2 PASS" in page.text


def test_every_verdict_of_a_member_has_its_sign() -> None:
    page = page_of(bad_bolt())
    assert {given["title"] for _, given in page.tags if "title" in given} == {"PASS", "FAIL", "INVALID"}
    assert all(sign in page.texts for sign in "✓✗?")


def test_a_step_kept_from_an_earlier_attempt_has_a_verdict_and_no_time() -> None:
    page = page_of(reworked())
    row = next(row for row in page.rows if row[0].startswith("coolant_leak"))
    assert "kept: passed in record 018c" in row[0]
    assert [cell.strip() for cell in row[1:]] == ["PASS", ""]


def test_parts_taken_out_are_struck_and_say_why() -> None:
    page = page_of(reworked())
    row = next(row for row in page.rows if "taken out: replaced" in row[-1])
    assert row[:3] == ["module 3", "295X", "M-3"]
    assert sum(name == "s" for name, _ in page.tags) > 4


def test_bolts_are_told_by_the_part_they_hold_each_with_its_tightening() -> None:
    page = page_of(bad_bolt())
    row = next(row for row in page.rows if row[0] == "module 1" and len(row) == 6)
    assert row[2:] == ["3", "1", "18.1 Nm (m1.3)", "90 deg (m1.1)"]
    bolts = [row for row in page.rows if len(row) == 5 and row[0].startswith("m1.")]
    assert [row[0] for row in bolts] == ["m1.1", "m1.3", "m1.3", "m1.5"]
    assert [row[4] for row in bolts] == ["", "torque[m1.3]: below low", "", ""]


def test_a_hundred_bolts_do_not_drown_the_page() -> None:
    told = record(AM60)
    page = page_of(told, AM60)
    assert sum(len(step["measurements"]) for step in told["steps"]) > 350
    bolts, held = 48 + 26 + 56, 12 + 13 + 1
    assert page.rows_in_details == bolts + held, "a row for each bolt, a head for each part that bolts hold"
    assert len(page.rows) - page.rows_in_details < 160


def test_the_other_stations_record_is_named_and_linked_only_if_it_is_told() -> None:
    other = record(station="eol", record_id="018c-0001", verdict="FAIL", attempt=2)
    page = page_of(record(), other=other)
    links = [given["href"] for name, given in page.tags if name == "a"]
    assert links == ["018c-0001.html"]
    assert "End of line: FAIL , attempt 2 of 2026-01-01T00:00:00Z, record 018c-0001" in page.text


def test_a_record_id_cannot_lead_anywhere_else() -> None:
    page = page_of(record(), other=record(record_id='javascript:x"/../y'))
    (link,) = [given["href"] for name, given in page.tags if name == "a"]
    assert link == "javascript%3Ax%22%2F..%2Fy.html"


def test_texts_are_escaped_wherever_they_come_from() -> None:
    told = copy.deepcopy(bad_bolt())
    told["genealogy"] += [part("module 9", serial=EVIL, lot=EVIL, part_number=EVIL), part("bms", removed_reason=EVIL)]
    bolt = next(each for each in told["genealogy"] if each["slot"] == "bolt m1.1")
    bolt["tightenings"][0]["at"] = EVIL
    page = page_of(told)
    assert "script" not in {name for name, _ in page.tags}
    assert page.text.count(EVIL) >= 5
