"""Judging: limits, guard band, missing and impossible readings, over range."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.limits import Limit, Measurement, Reading, judge
from bmsctl.domain.verdict import Verdict

P, F, I = Verdict.PASS, Verdict.FAIL, Verdict.INVALID  # noqa: E741


def limit(low: float | None, high: float | None, *, guard: bool = False) -> Limit:
    return Limit(low, high, "V", guard, "test")


def judged(value: float | None, limit: Limit, u95: float = 0.0, bound: str | None = None) -> tuple[Verdict, str]:
    measurement = judge("u", Reading(value, "V", u95, bound=bound), limit)
    return measurement.verdict, measurement.reason


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict", "reason"),
    [
        (1.0, 1.0, 2.0, P, ""),
        (2.0, 1.0, 2.0, P, ""),
        (math.nextafter(1.0, 0.0), 1.0, 2.0, F, "below low"),
        (math.nextafter(2.0, 3.0), 1.0, 2.0, F, "above high"),
        (-1e300, None, 2.0, P, ""),
        (1e300, 1.0, None, P, ""),
        (0.0, None, None, P, ""),
    ],
)
def test_unguarded_limits_are_inclusive(
    value: float, low: float | None, high: float | None, verdict: Verdict, reason: str
) -> None:
    assert judged(value, limit(low, high), u95=0.5) == (verdict, reason)


@pytest.mark.parametrize(
    ("value", "verdict", "reason"),
    [
        (0.99, F, "below low"),
        (1.0, F, "guard_band"),
        (1.24, F, "guard_band"),
        (1.25, P, ""),
        (1.75, P, ""),
        (1.76, F, "guard_band"),
        (2.0, F, "guard_band"),
        (2.01, F, "above high"),
    ],
)
def test_a_guarded_limit_is_tightened_by_the_uncertainty(value: float, verdict: Verdict, reason: str) -> None:
    assert judged(value, limit(1.0, 2.0, guard=True), u95=0.25) == (verdict, reason)


def test_an_uncertainty_wider_than_the_limits_blames_no_pack_inside_them() -> None:
    guarded = limit(1.0, 2.0, guard=True)
    assert judged(1.5, guarded, u95=0.6) == (I, "uncertainty wider than the limits")
    assert judged(2.5, guarded, u95=0.6) == (F, "above high")


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (None, "missing"),
        (Reading(None, "V"), "missing"),
        (Reading(math.nan, "V"), "not a number"),
        (Reading(math.inf, "V"), "not a number"),
        (Reading(-math.inf, "V", detail="range 60 V"), "not a number: range 60 V"),
        (Reading(1.5, "V", math.nan), "uncertainty not a number"),
        (Reading(1.5, "V", math.inf), "uncertainty not a number"),
        (Reading(1.5, "V", -0.1), "uncertainty not a number"),
        (Reading(1.5, "mV"), "measured in mV, the recipe says V"),
        (Reading(1.5, None), "measured in None, the recipe says V"),
        (Reading(1.5, "V", bound="around"), "unknown bound 'around'"),
    ],
)
def test_what_is_no_number_is_invalid_and_without_value(reading: Reading | None, reason: str) -> None:
    assert judge("u", reading, limit(1.0, 2.0)) == Measurement("u", None, "V", 1.0, 2.0, None, I, reason)


def test_a_missing_reading_says_why() -> None:
    assert judge("u", None, limit(1.0, 2.0), "bms: no answer").reason == "missing: bms: no answer"


@pytest.mark.parametrize(
    ("value", "bound", "low", "high", "verdict", "reason"),
    [
        (10e9, "above", 100e6, None, P, ""),
        (50e6, "above", 100e6, None, I, "over range, on both sides of a limit"),
        (0.1, "above", None, 0.025, F, "above high"),
        (0.025, "above", None, 0.025, F, "above high"),
        (0.01, "above", None, 0.025, I, "over range, on both sides of a limit"),
        (1.5, "above", 1.0, 2.0, I, "over range, on both sides of a limit"),
        (2.5, "above", 1.0, 2.0, F, "above high"),
        (0.5, "above", 1.0, 2.0, I, "over range, on both sides of a limit"),
        (-10e9, "below", None, -100e6, P, ""),
        (0.5, "below", 1.0, 2.0, F, "below low"),
        (1.0, "below", 1.0, None, F, "below low"),
        (2.5, "below", None, 2.0, I, "over range, on both sides of a limit"),
        (1.5, "below", 1.0, 2.0, I, "over range, on both sides of a limit"),
    ],
)
def test_over_range_is_judged_only_where_it_decides(
    value: float, bound: str, low: float | None, high: float | None, verdict: Verdict, reason: str
) -> None:
    assert judged(value, limit(low, high), bound=bound) == (verdict, reason)


def test_over_range_keeps_its_guard_band() -> None:
    assert judged(10.0, limit(8.0, None, guard=True), u95=2.0, bound="above") == (P, "")
    assert judged(10.0, limit(8.1, None, guard=True), u95=2.0, bound="above")[0] is I
    assert judged(10.0, limit(None, 11.0, guard=True), u95=2.0, bound="above") == (F, "guard_band")


def test_the_measurement_carries_all_it_was_judged_by() -> None:
    reading = Reading(9.0, "V", 0.5, detail="cell 17", bound="above")
    measurement = judge("u", reading, Limit(1.0, 2.0, "V", True, "test"))
    assert measurement == Measurement("u", 9.0, "V", 1.0, 2.0, 0.5, F, "above high: cell 17", "above")


def test_a_passing_reading_keeps_its_detail_to_itself() -> None:
    assert judge("u", Reading(1.5, "V", detail="cell 17"), limit(1.0, 2.0)).reason == ""


def test_a_count_has_no_unit() -> None:
    assert judge("n", Reading(0.0, None), Limit(None, 0.0, None, False, "test")).verdict is P
    assert judge("n", Reading(1.0, None), Limit(None, 0.0, None, False, "test")).verdict is F


finite = st.floats(allow_nan=False, allow_infinity=False)
some_limits = st.builds(
    Limit, st.none() | finite, st.none() | finite, st.sampled_from(["V", None]), st.booleans(), st.just("test")
)
readings = st.builds(
    Reading,
    st.none() | st.floats(),
    st.sampled_from(["V", None]),
    st.floats(),
    st.just(""),
    st.sampled_from([None, "above", "below", "?"]),
)


@given(readings, some_limits)
def test_the_verdict_follows_from_the_measurement_alone(reading: Reading, limit: Limit) -> None:
    first = judge("u", reading, limit)
    again = judge("u", Reading(first.value, limit.unit, first.u95 or 0.0, bound=first.bound), limit)
    assert again.verdict is first.verdict
    assert (first.reason == "") == (first.verdict is P)


@given(finite, st.floats(0.0, 1e6), finite, finite)
def test_a_guard_band_never_passes_more(value: float, u95: float, low: float, high: float) -> None:
    plain = Limit(low, high, "V", False, "test")
    if judge("u", Reading(value, "V", u95), replace(plain, guard=True)).verdict is P:
        assert judge("u", Reading(value, "V", u95), plain).verdict is P
