"""Verdicts derived again: a good attempt has no difference, every tampered one has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bmsctl.domain.derivation import differences
from bmsctl.domain.events import (
    AttemptClosed,
    AttemptOpened,
    DispositionSet,
    Event,
    Measured,
    StepFinished,
    StepRepeated,
    StepStarted,
)
from bmsctl.domain.limits import ABOVE, Reading, judge
from bmsctl.domain.verdict import Verdict
from tests.support.attempts import ENDED_AT, RESISTANCE, closed, measured, opened


def _attempt(
    docking_v: float | None = 0.25,
    identify: StepFinished | None = None,
    resistance_ohm: float | None = 50.0,
    precharge: StepFinished | None = None,
    end: AttemptClosed | None = None,
) -> list[Event]:
    return [
        opened(),
        StepStarted("identify", 0.0),
        measured("identify", "docking_voltage", docking_v),
        identify or StepFinished("identify", Verdict.PASS, "", 0.0, 1.0),
        StepStarted("precharge", 1.0),
        measured("precharge", "resistance", resistance_ohm),
        precharge or StepFinished("precharge", Verdict.PASS, "", 1.0, 1.0),
        end or closed(),
    ]


def _finished(verdict: Verdict, reason: str = "why") -> StepFinished:
    return StepFinished("precharge", verdict, reason, 1.0, 1.0)


AGAIN = StepRepeated("precharge", "cycler: has restarted")


def _repeated(
    first_ohm: float | None, second_ohm: float, precharge: StepFinished | None = None, end: AttemptClosed | None = None
) -> list[Event]:
    events = _attempt(resistance_ohm=second_ohm, precharge=precharge, end=end)
    return [*events[:5], measured("precharge", "resistance", first_ohm), AGAIN, *events[5:]]


GOOD = {
    "pass": _attempt(),
    "fail": _attempt(resistance_ohm=80.0, precharge=_finished(Verdict.FAIL), end=closed(Verdict.FAIL, "x")),
    "guard band": _attempt(resistance_ohm=59.75, precharge=_finished(Verdict.FAIL), end=closed(Verdict.FAIL, "x")),
    "not a number": _attempt(
        resistance_ohm=None, precharge=_finished(Verdict.INVALID), end=closed(Verdict.INVALID, "x")
    ),
    "station trouble after a good value": _attempt(
        precharge=_finished(Verdict.INVALID, "plc: silent"), end=closed(Verdict.INVALID, "plc: silent")
    ),
    "aborted in a step": _attempt(
        precharge=_finished(Verdict.ABORTED, "e-stop"), end=closed(Verdict.ABORTED, "e-stop")
    ),
    "repeated after a bad value": _repeated(80.0, 50.0),
    "repeated after no value": _repeated(None, 50.0),
    "repeated, then bad": _repeated(50.0, 80.0, _finished(Verdict.FAIL), closed(Verdict.FAIL, "x")),
    "scrapped later": [*_attempt(), DispositionSet("scrap", "m.meier", "dropped")],
    "crash": [
        *_attempt()[:3],
        AttemptClosed(Verdict.ABORTED, "crash", "hold", ENDED_AT, crash=True),
    ],
}


@pytest.mark.parametrize("events", GOOD.values(), ids=GOOD.keys())
def test_an_honest_attempt_has_no_difference(events: list[Event]) -> None:
    assert differences(events) == []


def _swapped(index: int, **changes: Any) -> Callable[[], list[Event]]:
    def make() -> list[Event]:
        events = _attempt()
        events[index] = replace(events[index], **changes)
        return events

    return make


def _recipe_changed() -> list[Event]:
    events = _attempt()
    assert isinstance(events[0], AttemptOpened)
    events[0] = replace(events[0], recipe={"id": "AS52"})
    return events


def _bound_forgotten() -> list[Event]:
    """Over range at 50 Ohm cannot be judged against a high limit of 60; as a plain 50 Ohm it would pass."""
    events = _attempt()
    bound = judge("resistance", Reading(50.0, "Ohm", 0.5, bound=ABOVE), RESISTANCE)
    events[5] = replace(Measured.of("precharge", bound, RESISTANCE), value=50.0, bound=None)
    return events


BAD: dict[str, tuple[Callable[[], list[Event]], int, str]] = {
    "value out of limits": (_swapped(5, value=80.0), 6, "is FAIL"),
    "value in the guard band": (_swapped(5, value=59.75), 6, "is FAIL"),
    "value gone": (_swapped(5, value=None), 6, "is INVALID"),
    "uncertainty grown": (_swapped(5, u95=11.0), 6, "is INVALID"),
    "limit widened": (_swapped(5, high=100.0), 6, "other limits"),
    "bound forgotten": (_bound_forgotten, 6, "is PASS"),
    "guard dropped": (_swapped(5, guard=False), 6, "other limits"),
    "unit changed": (_swapped(5, unit="V"), 6, "the recipe says Ohm"),
    "verdict of a value": (_swapped(5, verdict=Verdict.FAIL), 6, "resistance: FAIL, but"),
    "value of another step": (_swapped(5, step="identify"), 6, "not running"),
    "value without a limit": (_swapped(5, name="colour"), 6, "no limit"),
    "verdict of a step": (_swapped(6, verdict=Verdict.FAIL, reason="x"), 7, "step precharge: FAIL"),
    "invalid step without a reason": (_swapped(6, verdict=Verdict.INVALID), 7, "step precharge: INVALID"),
    "step that was not running": (_swapped(6, step="identify"), 7, "not running"),
    "step not in the recipe": (_swapped(4, step="wash"), 5, "not in the recipe"),
    "step run twice": (_swapped(4, step="identify"), 5, "second time"),
    "verdict of the attempt": (_swapped(7, verdict=Verdict.FAIL), 8, "the attempt is FAIL"),
    "abort without a reason": (_swapped(7, verdict=Verdict.ABORTED, disposition="hold"), 8, "without a reason"),
    "crash that passed": (_swapped(7, crash=True), 8, "crash"),
    "good pack held": (_swapped(7, disposition="hold"), 8, "disposition hold after PASS"),
    "step missing": (lambda: [*_attempt()[:4], closed()], 5, "the attempt is PASS"),
    "value missing": (lambda: [e for e in _attempt() if not isinstance(e, Measured)], 3, "step identify: PASS"),
    "a FAIL hidden by station trouble": (
        lambda: _attempt(resistance_ohm=80.0, precharge=_finished(Verdict.INVALID), end=closed(Verdict.INVALID, "x")),
        7,
        "its measurements give FAIL",
    ),
    "a FAIL overwritten by a second value": (
        lambda: [*_attempt(resistance_ohm=80.0)[:6], *_attempt()[5:]],
        8,
        "its measurements give FAIL",
    ),
    "a FAIL hidden by a repetition that measured nothing": (
        lambda: [*_attempt(resistance_ohm=80.0)[:6], AGAIN, *_attempt()[6:]],
        8,
        "its measurements give INVALID",
    ),
    "step repeated that was not running": (
        lambda: [*_attempt()[:4], AGAIN, *_attempt()[4:]],
        5,
        "was repeated, but was not running",
    ),
    "bad pack released": (
        lambda: [
            *_attempt(resistance_ohm=80.0, precharge=_finished(Verdict.FAIL), end=closed(Verdict.FAIL, "x")),
            DispositionSet("release", "m.meier", "friday"),
        ],
        9,
        "released after FAIL",
    ),
    "disposition before the end": (lambda: [opened(), DispositionSet("scrap", "m.meier", "x")], 2, "before"),
    "event after the end": (lambda: [*_attempt(), StepStarted("identify", 9.0)], 9, "after the attempt was closed"),
    "opened twice": (lambda: [opened(), opened()], 2, "second opening"),
    "no opening": (lambda: _attempt()[1:], 1, "does not open"),
    "nothing": (list, 1, "does not open"),
    "recipe unreadable": (_recipe_changed, 1, "recipe cannot be read"),
}


@pytest.mark.parametrize(("make", "seq", "what"), BAD.values(), ids=BAD.keys())
def test_every_tampering_is_named_where_it_is(make: Callable[[], list[Event]], seq: int, what: str) -> None:
    found = differences(make())
    assert any(each.seq == seq and what in each.what for each in found), found
