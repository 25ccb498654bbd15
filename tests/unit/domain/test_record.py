"""The fold of events to a record, and the rule of retests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from bmsctl.domain.attempts import Attempt, may_start
from bmsctl.domain.canonical import read_json
from bmsctl.domain.events import (
    AttemptClosed,
    DispositionSet,
    Event,
    PackIdentified,
    StepFinished,
    StepRepeated,
    StepSkipped,
    StepStarted,
    TraceRecorded,
)
from bmsctl.domain.record import fold
from bmsctl.domain.record_schema import SCHEMA, SCHEMA_ID
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import Refused
from tests.support.attempts import ENDED_AT, RECIPE, RECORD_ID, SERIAL, STARTED_AT, closed, good_story, measured, opened

HEAD = "ab" * 32
KEYS = [
    "schema",
    "record_id",
    "pack_serial",
    "pack",
    "vehicle",
    "station",
    "world",
    "simulated",
    "mode",
    "recipe",
    "software",
    "operator",
    "attempt",
    "started_at",
    "ended_at",
    "verdict",
    "reason",
    "disposition",
    "genealogy",
    "steps",
    "events",
]
STEP_KEYS = ["name", "verdict", "reason", "started_s", "duration_s", "measurements", "traces"]
MEASUREMENT_KEYS = ["name", "value", "unit", "low", "high", "u95", "verdict", "reason"]


def _valid(record: dict[str, Any]) -> dict[str, Any]:
    jsonschema.Draft202012Validator(SCHEMA).validate(record)
    assert list(record) == KEYS
    return record


def _good() -> list[Event]:
    trace = TraceRecorded("precharge", "cells", "V", None, 6, "<f8", "cd" * 32)
    return [opened(), *good_story(), trace, StepFinished("precharge", Verdict.PASS, "", 1.5, 2.0), closed()]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == SCHEMA_ID


def test_a_good_record_by_hand() -> None:
    record = _valid(fold(_good(), HEAD))
    head = {key: record[key] for key in KEYS[:18]}
    assert head == {
        "schema": SCHEMA_ID,
        "record_id": RECORD_ID,
        "pack_serial": SERIAL,
        "pack": "AS52",
        "vehicle": None,
        "station": "eol",
        "world": "sim",
        "simulated": True,
        "mode": "Engineering",
        "recipe": {"id": "AS52", "revision": "1", "sha256": RECIPE.sha256},
        "software": {"version": "0.1.0", "git": None},
        "operator": None,
        "attempt": 1,
        "started_at": STARTED_AT,
        "ended_at": ENDED_AT,
        "verdict": "PASS",
        "reason": None,
        "disposition": "release",
    }
    assert record["events"] == {"n": 16, "head_sha256": HEAD}
    identify, precharge = record["steps"]
    assert list(identify) == STEP_KEYS
    assert (identify["name"], identify["verdict"], identify["reason"]) == ("identify", "PASS", None)
    assert (precharge["started_s"], precharge["duration_s"]) == (1.5, 2.0)
    assert list(precharge["measurements"][0]) == MEASUREMENT_KEYS
    assert list(precharge["measurements"][0].values()) == [
        "resistance", 50.125, "Ohm", 40.0, 60.0, 0.5, "PASS", None,
    ]  # fmt: skip
    assert precharge["traces"] == [{"name": "cells", "unit": "V", "sample_rate_hz": None, "n": 6, "sha256": "cd" * 32}]


def test_a_record_is_plain_json() -> None:
    import json

    record = fold(_good(), HEAD)
    assert read_json(json.dumps(record)) == record


def test_a_removed_part_stays_in_the_genealogy_with_its_reason() -> None:
    first, second = fold(_good(), HEAD)["genealogy"]
    assert first == {
        "slot": "1",
        "part_number": "295B0",
        "serial": "M-1",
        "lot": "L-7",
        "removed_reason": "scratched",
        "removed_cause": None,
        "incoming": [{"name": "cell_voltage", "unit": "V", "values": [3.65, 3.651, None]}],
        "tightenings": [],
    }
    assert (second["serial"], second["removed_reason"], second["incoming"]) == ("M-2", None, [])


def test_an_open_attempt_has_nothing_where_nothing_is() -> None:
    record = _valid(fold([opened(), StepStarted("identify", 0.0)], HEAD))
    assert [record[key] for key in ("ended_at", "verdict", "reason", "disposition")] == [None] * 4
    assert [(s["verdict"], s["reason"], s["started_s"]) for s in record["steps"]] == [
        (None, "running", 0.0),
        (None, "not run yet", None),
    ]


def test_after_a_crash_the_unfinished_step_keeps_its_values_and_no_verdict() -> None:
    crash = AttemptClosed(Verdict.ABORTED, "crash: power", "hold", ENDED_AT, crash=True)
    events = [opened(), StepStarted("identify", 0.0), measured("identify", "docking_voltage", 0.1), crash]
    record = _valid(fold(events, HEAD))
    assert (record["verdict"], record["reason"], record["disposition"]) == ("ABORTED", "crash: power", "hold")
    identify, precharge = record["steps"]
    assert (identify["verdict"], identify["reason"]) == (None, "not finished: crash: power")
    assert identify["measurements"][0]["value"] == 0.1
    assert (precharge["verdict"], precharge["reason"]) == (None, "not run: crash: power")


def test_a_step_repeated_keeps_nothing_of_its_first_time() -> None:
    events = _good()
    again = [StepRepeated("precharge", "cycler: has restarted"), measured("precharge", "resistance", 51.0)]
    record = _valid(fold([*events[:-2], *again, *events[-2:]], HEAD))
    identify, precharge = record["steps"]
    assert [each["value"] for each in precharge["measurements"]] == [51.0]
    assert precharge["traces"] == []
    assert len(identify["measurements"]) == 1


def test_a_skipped_step_says_why() -> None:
    events = [opened(), StepSkipped("precharge", "not run after FAIL of identify"), closed(Verdict.FAIL, "identify")]
    steps = _valid(fold(events, HEAD))["steps"]
    assert [step["name"] for step in steps] == ["identify", "precharge"]
    assert steps[1]["reason"] == "not run after FAIL of identify"


def test_a_reading_that_is_no_number_is_null_and_invalid() -> None:
    events = [opened(), StepStarted("identify", 0.0), measured("identify", "docking_voltage", None)]
    value = _valid(fold(events, HEAD))["steps"][0]["measurements"][0]
    assert (value["value"], value["verdict"]) == (None, "INVALID")


def test_a_step_the_recipe_does_not_know_is_not_hidden() -> None:
    events = [opened(), StepStarted("wash", 0.0), StepFinished("wash", Verdict.PASS, "", 0.0, 1.0)]
    assert [step["name"] for step in fold(events, HEAD)["steps"]] == ["identify", "precharge", "wash"]


def test_the_serial_may_come_later() -> None:
    events = [replace(opened(), pack_serial=None), PackIdentified("S-9")]
    assert _valid(fold(events[:1], HEAD))["pack_serial"] is None
    assert _valid(fold(events, HEAD))["pack_serial"] == "S-9"


def test_a_person_changes_the_disposition_and_nothing_else() -> None:
    before, after = fold(_good(), HEAD), fold([*_good(), DispositionSet("scrap", "m.meier", "dropped")], HEAD)
    changed = {key for key in KEYS if before[key] != after[key]}
    assert changed == {"disposition", "events"}
    assert after["disposition"] == "scrap"


@pytest.mark.parametrize("events", [[], [closed()]])
def test_nothing_is_told_without_an_opening(events: list[Event]) -> None:
    with pytest.raises(ValueError, match="does not open"):
        fold(events, HEAD)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"surplus": 1}, "surplus"),
        ({"verdict": "OK"}, "OK"),
        ({"attempt": 0}, "minimum"),
        ({"events": {"n": 1}}, "head_sha256"),
        ({"started_at": "yesterday"}, "match"),
    ],
)
def test_the_schema_can_refuse(change: dict[str, Any], where: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=where):
        _valid(fold(_good(), HEAD) | change)


@pytest.mark.parametrize("key", KEYS)
def test_the_schema_misses_every_key(key: str) -> None:
    record = fold(_good(), HEAD)
    del record[key]
    with pytest.raises(jsonschema.ValidationError, match=key):
        jsonschema.Draft202012Validator(SCHEMA).validate(record)


def test_the_schema_knows_that_no_number_is_never_a_pass() -> None:
    record = fold(_good(), HEAD)
    record["steps"][0]["measurements"][0]["value"] = None
    with pytest.raises(jsonschema.ValidationError, match="INVALID"):
        _valid(record)


def test_the_schema_wants_a_reason_for_a_step_not_run() -> None:
    record = fold(_good(), HEAD)
    record["steps"][0] |= {"verdict": None, "reason": None}
    with pytest.raises(jsonschema.ValidationError, match="None is not of type 'string'"):
        _valid(record)


PASSED = Attempt.folded([opened(), closed()])
FAILED = Attempt.folded([opened(), closed(Verdict.FAIL, "precharge: FAIL")])


@pytest.mark.parametrize(
    ("earlier", "cause"),
    [([], None), ([], "by order"), ([FAILED], "loose lug"), ([PASSED], "audit"), ([FAILED, PASSED], "audit")],
)
def test_a_first_attempt_or_one_with_a_cause_may_start(earlier: list[Attempt], cause: str | None) -> None:
    may_start(earlier, cause)


@pytest.mark.parametrize("cause", [None, "", "  "])
@pytest.mark.parametrize("earlier", [[FAILED], [PASSED]])
def test_a_retest_needs_a_cause(earlier: list[Attempt], cause: str | None) -> None:
    with pytest.raises(Refused, match="--retest"):
        may_start(earlier, cause)


def test_no_attempt_beside_an_open_one() -> None:
    with pytest.raises(Refused, match="still open"):
        may_start([Attempt.of(opened())], "impatience")


def test_a_scrapped_pack_is_not_tested_again() -> None:
    with pytest.raises(Refused, match="scrapped"):
        may_start([FAILED.after(DispositionSet("scrap", "m.meier", "dropped"))], "hope")
