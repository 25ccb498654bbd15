"""Does every verdict follow from what was measured and from the recipe? Pure: events in, differences out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bmsctl.domain.events import (
    AttemptClosed,
    AttemptOpened,
    DispositionSet,
    Event,
    Measured,
    StepFinished,
    StepKept,
    StepRepeated,
    StepStarted,
    TraceRecorded,
)
from bmsctl.domain.limits import Limit, Reading, judge
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.domain.verdict import Verdict, fold_run, fold_step


class Difference(NamedTuple):
    """What does not follow, at which event (counted from 1)."""

    seq: int
    what: str


def differences(events: Sequence[Event]) -> list[Difference]:
    """Everything in an attempt that does not follow from its measurements and its recipe."""
    if not events or not isinstance(events[0], AttemptOpened):
        return [Difference(1, "the first event does not open an attempt")]
    try:
        recipe = Recipe.from_json(events[0].recipe)
        steps = recipe.steps(events[0].station)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return [Difference(1, f"the recipe cannot be read: {error}")]
    checked = _Derivation(steps)
    return [Difference(seq, what) for seq, event in enumerate(events, 1) for what in checked.take(seq, event)]


class _Derivation:
    """The attempt so far, derived again."""

    def __init__(self, steps: Sequence[StepRecipe]) -> None:
        self._steps: Mapping[str, StepRecipe] = {step.run: step for step in steps}
        self._running: str | None = None
        self._measured: dict[str, list[Measured]] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._closed: AttemptClosed | None = None

    def take(self, seq: int, event: Event) -> Iterator[str]:
        """Take the next event; what in it does not follow."""
        if self._closed is not None and not isinstance(event, DispositionSet):
            yield f"{event.kind} after the attempt was closed"
        if isinstance(event, AttemptOpened) and seq > 1:
            yield "a second opening"
        elif isinstance(event, StepStarted):
            yield from self._start(event)
        elif isinstance(event, StepKept):
            yield from self._keep(event)
        elif isinstance(event, Measured):
            yield from self._measure(event)
        elif isinstance(event, StepRepeated):
            yield from self._repeat(event)
        elif isinstance(event, TraceRecorded) and event.step != self._running:
            yield f"a trace of step {event.step}, which is not running"
        elif isinstance(event, StepFinished):
            yield from self._finish(event)
        elif isinstance(event, AttemptClosed):
            yield from self._close(event)
        elif isinstance(event, DispositionSet):
            yield from self._dispose(event)

    def _start(self, event: StepStarted) -> Iterator[str]:
        if event.step not in self._steps:
            yield f"step {event.step} is not in the recipe"
        if event.step in self._verdicts:
            yield f"step {event.step} was run a second time"
        self._running = event.step

    def _keep(self, event: StepKept) -> Iterator[str]:
        if event.step not in self._steps:
            yield f"step {event.step} is not in the recipe"
        if self._running is not None or event.step in self._verdicts:
            yield f"step {event.step} was kept, but had begun"
        self._verdicts[event.step] = Verdict.PASS

    def _repeat(self, event: StepRepeated) -> Iterator[str]:
        if event.step != self._running:
            yield f"step {event.step} was repeated, but was not running"
        self._measured.pop(event.step, None)

    def _measure(self, event: Measured) -> Iterator[str]:
        if event.step != self._running:
            yield f"{event.name} of step {event.step}, which is not running"
        self._measured.setdefault(event.step, []).append(event)
        step = self._steps.get(event.step)
        limit = step.limits.get(event.name) if step is not None else None
        if limit is None:
            yield f"{event.name}: the recipe has no limit for it in step {event.step}"
            return
        if (event.low, event.high, event.guard) != (limit.low, limit.high, limit.guard):
            yield f"{event.name}: judged by other limits than the recipe's"
        if event.unit != limit.unit:
            yield f"{event.name}: in {event.unit}, the recipe says {limit.unit}"
        verdict = _judged(event, limit)
        if event.verdict is not verdict:
            yield f"{event.name}: {event.verdict}, but {event.value} {event.unit or ''} is {verdict}"

    def _finish(self, event: StepFinished) -> Iterator[str]:
        if event.step != self._running:
            yield f"step {event.step} finished, but was not running"
        self._running = None
        self._verdicts[event.step] = event.verdict
        step = self._steps.get(event.step)
        measured = self._measured.get(event.step, [])
        verdicts = [each.verdict for each in measured]
        names = {each.name for each in measured}
        if step is not None and not names.issuperset(step.limits):
            verdicts.append(Verdict.INVALID)
        derived = fold_step(verdicts)
        # Trouble of the station may spoil what was measured well, but never hide a FAIL.
        spoilt = bool(event.reason) and (
            event.verdict is Verdict.ABORTED or (event.verdict is Verdict.INVALID and derived is Verdict.PASS)
        )
        if event.verdict is not derived and not spoilt:
            yield f"step {event.step}: {event.verdict}, but its measurements give {derived}"

    def _close(self, event: AttemptClosed) -> Iterator[str]:
        self._closed = event
        verdicts = [(step.mandatory, self._verdicts.get(step.run)) for step in self._steps.values()]
        derived = fold_run(verdicts, aborted=event.verdict is Verdict.ABORTED)
        if event.verdict is not derived:
            yield f"the attempt is {event.verdict}, but its steps give {derived}"
        if event.verdict is Verdict.ABORTED and not event.reason:
            yield "the attempt is ABORTED without a reason"
        if event.crash and event.verdict is not Verdict.ABORTED:
            yield f"the attempt ended in a crash, yet it is {event.verdict}"
        if (event.disposition == "release") != (event.verdict is Verdict.PASS):
            yield f"disposition {event.disposition} after {event.verdict}"

    def _dispose(self, event: DispositionSet) -> Iterator[str]:
        if self._closed is None:
            yield "a disposition before the attempt was closed"
        elif event.disposition == "release" and self._closed.verdict is not Verdict.PASS:
            yield f"released after {self._closed.verdict}"


def _judged(event: Measured, limit: Limit) -> Verdict:
    reading = Reading(event.value, limit.unit, event.u95 or 0.0, bound=event.bound)
    return judge(event.name, reading, limit).verdict
