"""What a record says of each part, whatever it ended with."""

from __future__ import annotations

import pytest

from bmsctl.report.part_results import PackResults
from tests.unit.report.stacked import (
    AM60,
    AS52,
    bad_bolt,
    cloned,
    good_value,
    record,
    reworked,
    step_named,
    stopped,
    values_until,
)

PARTS = ("tray", "module 1", "module 2", "m1.1", "m1.3", "m4.8", "b5.2", "j10", "c50")


def verdicts(results: PackResults, *parts: str) -> list[str | None]:
    return [results.of(part).verdict for part in parts]


def test_every_part_of_a_good_pack_is_good() -> None:
    assert verdicts(PackResults(record(), AS52), *PARTS) == ["PASS"] * len(PARTS)


def test_a_part_that_no_recipe_knows_is_not_done() -> None:
    assert PackResults(record(), AS52).of("j11").verdict is None


def test_what_a_failed_step_did_not_come_to_is_not_done() -> None:
    results = PackResults(bad_bolt(), AS52)
    assert verdicts(results, *PARTS) == ["PASS", "PASS", "PASS", "PASS", "FAIL", None, None, None, None]
    assert [each["value"] for each in results.of("m1.3").measurements] == [18.1, 90.0]
    assert not results.of("m4.8").measurements


def test_a_replaced_bolt_is_in_and_the_first_one_was() -> None:
    results = PackResults(bad_bolt(), AS52)
    installed = results.installed("bolt m1.3")
    assert installed is not None
    assert installed["tightenings"][0]["tightening_id"] == 4712
    assert [bolt["tightenings"][0]["tightening_id"] for bolt in results.removed("bolt m1.3")] == [4711]
    assert results.installed("bolt m4.8") is None
    assert results.removed("bolt m1.1") == ()


def test_the_module_a_step_stopped_at_is_invalid_and_those_behind_it_are_not_done() -> None:
    results = PackResults(cloned(), AS52)
    assert verdicts(results, "module 1", "module 2", "module 3") == [None, "INVALID", None]
    assert results.of("module 1").measurements, "it was measured, but not placed yet"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("module 2: the label cannot be read", [None, "INVALID", None]),
        ("module 12: the label cannot be read", [None, None, None]),
        ("scanner: silent", [None, None, None]),
    ],
)
def test_a_part_that_the_reason_names_is_invalid_though_nothing_of_it_was_measured(
    reason: str, expected: list[str | None]
) -> None:
    values = values_until(step_named(AM60, "modules_in"), ["module 1"], {})
    results = PackResults(stopped(AM60, "modules_in", values, "INVALID", reason), AM60)
    assert verdicts(results, "module 1", "module 2", "module 3") == expected
    assert (results.of("module 12").verdict == "INVALID") == ("12" in reason)


def test_a_bolt_that_was_tightened_and_not_judged_is_invalid() -> None:
    told = stopped(AS52, "bolts", {}, "INVALID", "nutrunner: silent")
    assert PackResults(told, AS52).of("m1.1").verdict == "INVALID"


def test_a_kept_step_counts_and_one_that_has_not_run_does_not() -> None:
    results = PackResults(reworked(), AS52)
    assert verdicts(results, "tray", "module 1", "m1.1", "j1") == ["PASS", None, None, None]


def test_a_running_step_leaves_what_it_has_not_wholly_measured_open() -> None:
    step = step_named(AS52, "bolts")
    told = record()
    running = next(made for made in told["steps"] if made["name"] == "bolts")
    running["measurements"] = [each for each in running["measurements"] if each["name"] in ("torque[m1.1]",)]
    running |= {"verdict": None, "reason": "running"}
    result = PackResults(told, AS52).of("m1.1")
    assert (result.verdict, result.measurements[0]["value"]) == (None, good_value(step, "torque[m1.1]"))


def test_the_gravest_of_two_steps_counts() -> None:
    step = step_named(AS52, "place")
    values = values_until(step, ["module 1"], {"serial_match[module 2]": 1.0, "voltage[module 2]": -85.0})
    results = PackResults(stopped(AS52, "place", values, "FAIL", "voltage[module 2]: below low"), AS52)
    assert verdicts(results, "module 1", "module 2", "module 3") == ["PASS", "FAIL", None]
