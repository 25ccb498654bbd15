from __future__ import annotations

import math
from typing import Any

import pytest

from bmsctl.report.families import base_and_part, families, margin, named, worst


def measurement(name: str, value: float | None, verdict: str = "PASS", reason: str | None = None) -> dict[str, Any]:
    limits = {"unit": "Nm", "low": 22.5, "high": 27.5, "u95": 0.25}
    return {"name": name, "value": value, "verdict": verdict, "reason": reason, **limits}


def test_a_name_has_a_part_or_none() -> None:
    assert base_and_part("torque[m1.3]") == ("torque", "m1.3")
    assert base_and_part("ocv_deviation[module 2]") == ("ocv_deviation", "module 2")
    assert base_and_part("stack_voltage") == ("stack_voltage", "")


def test_measurements_of_every_part_are_one_family_and_one_alone_is_its_own() -> None:
    made = [measurement("torque[m1.1]", 25.0), measurement("angle", 90.0), measurement("torque[m1.2]", 24.0)]
    torque, angle = families(made)
    assert (torque.name, [member.part for member in torque.members]) == ("torque", ["m1.1", "m1.2"])
    assert (torque.worst_part, torque.tally, torque.reasons) == ("m1.2", "2 PASS", [])
    assert (angle.name, angle.members, angle.worst) == ("angle", (), made[1])


def test_a_family_of_one_part_says_which() -> None:
    (family,) = families([measurement("torque[m1.1]", 25.0)])
    assert (family.worst_part, len(family.members)) == ("m1.1", 1)


def test_the_gravest_verdict_is_the_worst_then_a_number_then_the_nearest_to_a_limit() -> None:
    near, far = measurement("torque[a]", 22.9), measurement("torque[b]", 25.0)
    unknown, silent = measurement("torque[c]", 25.0, "INVALID"), measurement("torque[d]", None, "INVALID")
    bad, worse = measurement("torque[e]", 22.0, "FAIL"), measurement("torque[f]", 29.0, "FAIL")
    ordered = [worse, bad, unknown, silent, near, far]
    for start in range(len(ordered)):
        assert worst(reversed(ordered[start:])) is ordered[start]


@pytest.mark.parametrize(
    ("low", "high", "value", "expected"),
    [
        (22.5, 27.5, 25.5, 2.0),
        (22.5, None, 25.5, 3.0),
        (None, 27.5, 30.0, -2.5),
        (None, None, 1.0, math.inf),
        (22.5, 27.5, None, math.inf),
    ],
)
def test_margin(low: float | None, high: float | None, value: float | None, expected: float) -> None:
    assert margin({"low": low, "high": high, "value": value}) == expected


def test_reasons_tell_their_parts_once_and_the_tally_the_gravest_first() -> None:
    unreached = [measurement(f"torque[m2.{number}]", None, "INVALID", "missing") for number in range(1, 10)]
    made = [measurement("torque[m1.1]", 25.0), *unreached, measurement("torque[m1.2]", 18.1, "FAIL", "below low")]
    (family,) = families(made)
    assert family.tally == "1 FAIL, 9 INVALID, 1 PASS"
    assert family.reasons == [("missing", "m2.1, m2.2, m2.3, m2.4, m2.5, m2.6 and 3 more"), ("below low", "m1.2")]


def test_a_few_names_are_all_told() -> None:
    assert named(["a", "b"]) == "a, b"
