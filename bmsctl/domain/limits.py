"""Judging a reading against the limits of a recipe: a pure function, so that every verdict can be derived again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from bmsctl.domain.verdict import Verdict

ABOVE, BELOW = "above", "below"


class Reading(NamedTuple):
    """What a step measured, in a unit without prefix; `unit` None for a count.

    `value` None: nothing could be read. `u95`: expanded uncertainty (k = 2), same unit. `detail`: which cell,
    what the device said; shown unless PASS. `bound` "above" or "below": the true value lies beyond `value`, the end of
    what could be resolved, by an instrument over range with contact proven before and after on this very
    connection, or by a change too fast to follow.
    """

    value: float | None
    unit: str | None
    u95: float = 0.0
    detail: str = ""
    bound: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """Specified limits, both inclusive, None where there is none.

    `guard`: accept only [low + U, high - U], U the expanded uncertainty of the reading.
    """

    low: float | None
    high: float | None
    unit: str | None
    guard: bool
    why: str


class Measurement(NamedTuple):
    """A judged reading with everything it was judged by; `value` None where there was no number."""

    name: str
    value: float | None
    unit: str | None
    low: float | None
    high: float | None
    u95: float | None
    verdict: Verdict
    reason: str
    bound: str | None = None


def judge(name: str, reading: Reading | None, limit: Limit, missing_because: str = "") -> Measurement:
    """Judge one reading; without a number, or with one that cannot be judged, INVALID.

    Args:
        reading: None if the step never made it, then `missing_because` says why.
    """
    if reading is None:
        return _unmeasured(name, limit, _joined("missing", missing_because))
    unusable = _unusable(reading, limit)
    if unusable:
        return _unmeasured(name, limit, _joined(unusable, reading.detail))
    value, _, u95, detail, bound = reading
    assert value is not None
    verdict, reason = _judge_number(value, u95, limit, bound)
    reason = "" if verdict is Verdict.PASS else _joined(reason, detail)
    return Measurement(name, value, limit.unit, limit.low, limit.high, u95, verdict, reason, bound)


def _unmeasured(name: str, limit: Limit, reason: str) -> Measurement:
    return Measurement(name, None, limit.unit, limit.low, limit.high, None, Verdict.INVALID, reason)


def _joined(reason: str, detail: str) -> str:
    return f"{reason}: {detail}" if detail else reason


def _unusable(reading: Reading, limit: Limit) -> str:
    """Why the reading is no number of the limit's unit, empty if it is."""
    if reading.value is None:
        return "missing"
    if not math.isfinite(reading.value):
        return "not a number"
    if reading.unit != limit.unit:
        return f"measured in {reading.unit}, the recipe says {limit.unit}"
    if not math.isfinite(reading.u95) or reading.u95 < 0.0:
        return "uncertainty not a number"
    if reading.bound not in (None, ABOVE, BELOW):
        return f"unknown bound {reading.bound!r}"
    return ""


def _judge_number(value: float, u95: float, limit: Limit, bound: str | None) -> tuple[Verdict, str]:
    margin = u95 if limit.guard else 0.0
    low = -math.inf if limit.low is None else limit.low
    high = math.inf if limit.high is None else limit.high
    if bound == ABOVE:
        return _judge_beyond(value, low, high, margin, "above high")
    if bound == BELOW:
        return _judge_beyond(-value, -high, -low, margin, "below low")
    if value < low:
        return Verdict.FAIL, "below low"
    if value > high:
        return Verdict.FAIL, "above high"
    if low + margin > high - margin:
        return Verdict.INVALID, "uncertainty wider than the limits"
    if not low + margin <= value <= high - margin:
        return Verdict.FAIL, "guard_band"
    return Verdict.PASS, ""


def _judge_beyond(range_end: float, low: float, high: float, margin: float, outside: str) -> tuple[Verdict, str]:
    """Judge a value known only to lie beyond `range_end`: either all of that is good, or none, or nobody knows."""
    if range_end >= high - margin:
        return Verdict.FAIL, outside if range_end >= high else "guard_band"
    if high == math.inf and range_end >= low + margin:
        return Verdict.PASS, ""
    return Verdict.INVALID, "over range, on both sides of a limit"
