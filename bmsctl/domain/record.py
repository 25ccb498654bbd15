"""The record of an attempt: the fold of its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bmsctl.domain.attempts import Attempt
from bmsctl.domain.events import (
    AttemptClosed,
    AttemptOpened,
    Event,
    Measured,
    StepFinished,
    StepKept,
    StepRepeated,
    StepSkipped,
    StepStarted,
    TraceRecorded,
    payload,
)
from bmsctl.domain.pack_state import PackState, Part
from bmsctl.domain.record_schema import SCHEMA_ID
from bmsctl.domain.verdict import Verdict

_MEASUREMENT_KEYS = ("name", "value", "unit", "low", "high", "u95")
_OF_STEPS = (StepStarted, StepRepeated, StepSkipped, StepKept, Measured, TraceRecorded, StepFinished)
_TIGHTENING_KEYS = ("tightening_id", "parameter_set", "ok", "torque", "angle", "at")
_TRACE_KEYS = ("name", "unit", "sample_rate_hz", "n", "sha256")


def fold(events: Sequence[Event], head_sha256: str) -> dict[str, Any]:
    """The record told by an attempt's events, whose chain ends in `head_sha256`. Every key is there.

    Raises:
        ValueError: the first event does not open an attempt, or its recipe cannot be read.
    """
    attempt = Attempt.folded(events)
    opened = events[0]
    assert isinstance(opened, AttemptOpened)
    closed = next((event for event in events if isinstance(event, AttemptClosed)), None)
    return {
        "schema": SCHEMA_ID,
        "record_id": opened.record_id,
        "pack_serial": attempt.pack_serial,
        "pack": opened.pack,
        "vehicle": opened.vehicle,
        "station": opened.station,
        "world": opened.world,
        "simulated": opened.simulated,
        "mode": opened.mode,
        "recipe": {key: opened.recipe[key] for key in ("id", "revision", "sha256")},
        "software": {key: opened.software.get(key) for key in ("version", "git")},
        "operator": opened.operator,
        "attempt": opened.attempt,
        "started_at": opened.started_at,
        "ended_at": attempt.ended_at,
        "verdict": attempt.verdict,
        "reason": (closed.reason or None) if closed else None,
        "disposition": attempt.disposition,
        "genealogy": _genealogy(events),
        "steps": _steps(events, opened, closed),
        "events": {"n": len(events), "head_sha256": head_sha256},
    }


def _genealogy(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Every part ever installed, in order; a removed one stays, with the reason and, if it was a rework, the cause."""
    return [_part(part) for part in PackState.of(events).history]


def _part(part: Part) -> dict[str, Any]:
    removed = part.removed
    return payload(part.installed) | {
        "removed_reason": None if removed is None else removed.reason,
        "removed_cause": None if removed is None else removed.cause or None,
        "incoming": [{"name": one.name, "unit": one.unit, "values": list(one.values)} for one in part.incoming],
        "tightenings": [_selected(event, _TIGHTENING_KEYS) for event in part.tightenings],
    }


def _steps(events: Sequence[Event], opened: AttemptOpened, closed: AttemptClosed | None) -> list[dict[str, Any]]:
    """Every step of the recipe in its order; then, so that nothing is hidden, any the recipe does not know."""
    why_not = "not run yet" if closed is None else f"not run: {closed.reason or 'the attempt was closed'}"
    names = _step_names(opened)
    steps = {name: _step(name, why_not) for name in names}
    for event in events:
        if isinstance(event, _OF_STEPS):
            if event.step not in steps:
                steps[event.step] = _step(event.step, why_not)
            _tell(steps[event.step], event, closed)
    return list(steps.values())


def _step_names(opened: AttemptOpened) -> list[str]:
    """The recipe's steps at the station; ValueError if the stored recipe is none."""
    try:
        return [step["run"] for step in opened.recipe[opened.station]]
    except (LookupError, TypeError) as error:
        raise ValueError(f"the stored recipe has no steps of station {opened.station}") from error


def _step(name: str, why_not: str) -> dict[str, Any]:
    times = {"started_s": None, "duration_s": None}
    return {"name": name, "verdict": None, "reason": why_not, **times, "measurements": [], "traces": []}


def _tell(
    step: dict[str, Any],
    event: StepStarted | StepRepeated | StepSkipped | StepKept | Measured | TraceRecorded | StepFinished,
    closed: AttemptClosed | None,
) -> None:
    """Write what an event says into its step."""
    if isinstance(event, Measured):
        verdict = {"verdict": event.verdict.value, "reason": event.reason or None}
        step["measurements"].append(_selected(event, _MEASUREMENT_KEYS) | verdict)
    elif isinstance(event, StepSkipped):
        step["reason"] = event.reason
    elif isinstance(event, StepKept):
        step["verdict"], step["reason"] = Verdict.PASS.value, f"kept: passed in record {event.record_id}"
    elif isinstance(event, StepStarted):
        step["started_s"] = event.t_s
        step["reason"] = "running" if closed is None else f"not finished: {closed.reason}"
    elif isinstance(event, StepRepeated):
        step["measurements"], step["traces"] = [], []
    elif isinstance(event, TraceRecorded):
        step["traces"].append(_selected(event, _TRACE_KEYS))
    else:
        step["verdict"] = event.verdict.value
        step["reason"] = event.reason or None
        step["started_s"], step["duration_s"] = event.started_s, event.duration_s


def _selected(event: Event, keys: Sequence[str]) -> dict[str, Any]:
    values = vars(event)
    return {key: values[key] for key in keys}
