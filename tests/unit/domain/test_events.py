"""Events and their payloads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.canonical import canonical_json, read_json
from bmsctl.domain.events import (
    EVENTS,
    ActionIntended,
    ActionUnknown,
    AttemptClosed,
    AttemptResumed,
    DispositionSet,
    Event,
    Measured,
    ModuleAccepted,
    PackIdentified,
    PartRemoved,
    StepKept,
    StepRepeated,
    StepSkipped,
    Tightened,
    TraceRecorded,
    from_payload,
    payload,
)
from bmsctl.domain.verdict import Verdict
from tests.support.attempts import closed, good_story, measured, opened

EXAMPLES: list[Event] = [
    opened(),
    *good_story(),
    PackIdentified("S-1"),
    StepRepeated("precharge", "cycler: has restarted"),
    StepSkipped("precharge", "not run after FAIL of identify"),
    ActionUnknown("bolt-2", "nobody looked"),
    ActionIntended("bolt m1.1 #1", "nutrunner", "tighten with parameter set 3", "bolt m1.1", 4711),
    PartRemoved("bolt m1.1", None, "came off with module 1", "came_off"),
    AttemptResumed("2026-01-01T00:01:00Z"),
    StepKept("place", "R-0"),
    ModuleAccepted("module 1", "P-1", "M-1", "L-1", 1.4e6, (3.65, 3.651), 7.301, 8.6e-3, 22.5),
    Tightened("m1.1", 4711, 3, True, 25.1, 88.0, "2026-01-01:00:00:30"),
    Tightened("m1.2", 4712, 3, False, None, None, "2026-01-01:00:00:37"),
    TraceRecorded("precharge", "cells", "V", None, 6, "<f8", "0" * 64),
    measured("precharge", "resistance", None),
    closed(),
    DispositionSet("rework", "m.meier", "busbar 3"),
]


def test_the_examples_cover_every_kind() -> None:
    assert {event.kind for event in EXAMPLES} == set(EVENTS)
    assert all(EVENTS[event.kind] is type(event) for event in EXAMPLES)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_every_event_comes_back_from_its_payload(event: Event) -> None:
    text = canonical_json(payload(event))
    back = from_payload(event.kind, read_json(text))
    assert back == event
    assert type(back) is type(event)
    assert canonical_json(payload(back)) == text


def test_a_payload_by_hand() -> None:
    text = canonical_json(payload(AttemptClosed(Verdict.PASS, "", "release", "2026-01-01T00:01:00Z", crash=False)))
    assert text == (
        '{"crash":false,"disposition":"release","ended_at":"2026-01-01T00:01:00Z","reason":"","verdict":"PASS"}'
    )


def test_fields_that_came_later_may_be_missing_in_a_journal() -> None:
    intended = {"action_id": "bolt m1.1 #1", "device": "nutrunner", "what": "tighten"}
    assert from_payload("action_intended", intended) == ActionIntended(*intended.values())
    removed = {"slot": "module 1", "serial": "M-1", "reason": "scratched"}
    assert from_payload("part_removed", removed) == PartRemoved("module 1", "M-1", "scratched", "")


def test_a_measurement_carries_all_its_verdict_rests_on() -> None:
    event = measured("precharge", "resistance", 59.75)
    assert (event.value, event.unit, event.low, event.high, event.u95, event.guard) == (
        59.75, "Ohm", 40.0, 60.0, 0.5, True,
    )  # fmt: skip
    assert event.verdict is Verdict.FAIL


def _damaged(event: Event) -> list[dict[str, Any]]:
    good = payload(event)
    first = next(iter(good))
    return [
        {name: value for name, value in good.items() if name != first},
        good | {"surplus": 1},
        *(good | {name: {"no": "such"}} for name in good if name not in ("recipe", "software")),
    ]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_missing_surplus_and_mistyped_fields_are_refused(event: Event) -> None:
    for values in _damaged(event):
        with pytest.raises(ValueError, match=event.kind):
            from_payload(event.kind, values)


@pytest.mark.parametrize("values", [None, [], "x", 1])
def test_a_payload_is_an_object(values: Any) -> None:
    with pytest.raises(ValueError, match="not an object"):
        from_payload("noted", values)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        from_payload("forgotten", {})


def test_booleans_are_not_numbers() -> None:
    values = payload(measured("precharge", "resistance", 50.0)) | {"value": True}
    with pytest.raises(ValueError, match="not of the right type"):
        from_payload("measured", values)


def test_a_verdict_is_one_of_four() -> None:
    values = payload(measured("precharge", "resistance", 50.0)) | {"verdict": "OK"}
    with pytest.raises(ValueError, match="OK"):
        from_payload("measured", values)


@given(st.sampled_from(sorted(EVENTS)), st.dictionaries(st.text(), st.none() | st.text() | st.floats(), max_size=5))
def test_arbitrary_payloads_are_refused_by_value_error_only(kind: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=kind):
        from_payload(kind, values)


def test_an_event_with_an_infinity_cannot_be_written() -> None:
    event = Measured("s", "n", float("inf"), "V", None, None, 0.0, False, None, Verdict.PASS, "")
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(payload(event))


@given(
    st.builds(
        Measured,
        step=st.text(),
        name=st.text(),
        value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        unit=st.none() | st.text(),
        low=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        high=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        u95=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        guard=st.booleans(),
        bound=st.none() | st.sampled_from(["above", "below"]),
        verdict=st.sampled_from(Verdict),
        reason=st.text(),
    )
)
def test_a_measurement_is_written_as_canonical_json(event: Measured) -> None:
    assert event.payload_json() == canonical_json(payload(event))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_measurement_that_is_no_number_is_not_written(value: float) -> None:
    event = Measured("s", "m", value, "V", None, None, 0.0, False, None, Verdict.PASS, "")
    with pytest.raises(ValueError, match="no number"):
        event.payload_json()
