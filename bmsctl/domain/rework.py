"""A pack that is worked on again: how it stands, what comes off, and which steps need not be run a second time.

The next attempt's log begins with all of that, so that it tells of the pack by itself, and the record is its fold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from bmsctl.domain.events import (
    ActionIntended,
    ActionUnknown,
    Event,
    IncomingMeasured,
    Measured,
    ModuleAccepted,
    PartRemoved,
    StepFinished,
    StepKept,
    StepRepeated,
)
from bmsctl.domain.incoming import AGE
from bmsctl.domain.pack_state import PackState
from bmsctl.domain.parts import TRAY, bolt_of, coming_off, held_by, kind_of, measured_as, sort_of
from bmsctl.domain.recipe import StepRecipe
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import Refused

REPLACED, CAME_OFF = "replaced", "came_off"
"""Causes for which a part is taken out for a rework: it is replaced itself, or came off with one that is."""
LOST = "the part came off before anybody knew whether it was done"


def passed_steps(events: Iterable[Event], record_id: str) -> dict[str, str]:
    """Steps that passed in the attempt `record_id` or were kept by it, each with the record in which it was run."""
    passed: dict[str, str] = {}
    for event in events:
        if isinstance(event, StepKept):
            passed[event.step] = event.record_id
        elif isinstance(event, StepFinished) and event.verdict is Verdict.PASS:
            passed[event.step] = record_id
    return passed


def continued(
    earlier: Sequence[Event], replaced: Sequence[str], steps: Sequence[StepRecipe], modules: int, record_id: str
) -> list[Event]:
    """Events with which the next attempt at a pack begins.

    Everything in place is told again; then what comes off with the parts to be replaced; then every step that passed
    and rests on no sort of part that came off. An action nobody knows the end of stays so, unless its part came off.

    Args:
        earlier: events of the last attempt, whose record is `record_id`.
        replaced: slots of the parts to be replaced; none for a retest of the pack as it is.
        steps: the recipe's, each with the kinds of part that it does not survive in `redo_after`.
        modules: how many the pack has.

    Raises:
        Refused: a part to be replaced is not in the pack, or is its tray.
    """
    pack, passed = PackState.of(earlier), passed_steps(earlier, record_id)
    off = _coming_off(pack.parts, replaced, modules)
    sorts = {sort_of(slot) for slot in off}
    kept = [step.run for step in steps if step.run in passed and sorts.isdisjoint(step.names("redo_after"))]
    events: list[Event] = []
    for slot, part in pack.parts.items():
        if slot in pack.accepted:
            events.append(pack.accepted[slot])
        events += [part.installed, *part.told]
    waiting = [slot for slot in pack.accepted if slot not in pack.parts]
    events += [pack.accepted[slot] for slot in waiting if _measured_by(slot, steps) in kept]
    events += _unanswered(pack.pending, off)
    for slot in reversed(off):
        under = [each for each in replaced if slot in coming_off(each, pack.parts, modules)]
        came_off = f"came off with {', '.join(under)}"
        why, cause = ("replaced", REPLACED) if slot in replaced else (came_off, CAME_OFF)
        events.append(PartRemoved(slot, pack.parts[slot].installed.serial, why, cause))
    events += [StepKept(run, passed[run]) for run in kept]
    return events


def exchanged(slot: str, cause: str) -> bool:
    """Whether another part goes into a slot whose part was taken out for this cause.

    Bolts and modules do not go in again whatever they came off with.
    """
    return cause == REPLACED or (cause == CAME_OFF and kind_of(slot) in ("bolt", "module"))


def _coming_off(installed: Collection[str], replaced: Sequence[str], modules: int) -> tuple[str, ...]:
    """What comes off with any of the parts, in the order installed."""
    if TRAY in replaced:
        raise Refused("the tray bears the pack's serial and cannot be replaced: scrap the pack, take another tray")
    missing = [slot for slot in replaced if slot not in installed]
    if missing:
        raise Refused(f"{missing[0]} is not in the pack and cannot be replaced; in it are {', '.join(installed)}")
    off = {each for slot in replaced for each in coming_off(slot, installed, modules)}
    return tuple(slot for slot in installed if slot in off)


def _measured_by(slot: str, steps: Sequence[StepRecipe]) -> str | None:
    """The first step that measures the part for a slot: the one that accepts it."""
    return next((step.run for step in steps if any(name.endswith(f"[{slot}]") for name in step.limits)), None)


def _unanswered(pending: ActionIntended | None, off: Collection[str]) -> list[Event]:
    """The action as the next attempt is told of it: given up if its part came off, or what its bolt holds."""
    if pending is None:
        return []
    slot = pending.slot
    came_off = slot in off or (kind_of(slot) == "bolt" and held_by(bolt_of(slot)) in off)
    return [pending, ActionUnknown(pending.action_id, LOST)] if came_off else [pending]


def holding(attempts: Iterable[Iterable[Event]]) -> list[Measured]:
    """What was measured in all attempts at a pack and still holds, oldest first: of parts that have stayed in.

    What was measured of no single part is there, too; it holds as long as its step is kept.
    """
    held: dict[tuple[str, str], Measured] = {}
    for event in (event for events in attempts for event in events):
        if isinstance(event, Measured) and event.value is not None:
            held[event.step, event.name] = event
        elif isinstance(event, StepRepeated):
            held = {key: each for key, each in held.items() if each.step != event.step}
        elif isinstance(event, PartRemoved):
            part = f"[{measured_as(event.slot)}]"
            held = {key: each for key, each in held.items() if not each.name.endswith(part)}
    return list(held.values())


def older(event: Event, by_s: float) -> Event:
    """The event as it is to be told `by_s` later: with the age of a module grown by that.

    A clock that was set back makes nothing younger.
    """
    by_s = max(by_s, 0.0)
    if isinstance(event, ModuleAccepted):
        return replace(event, age=event.age + by_s)
    if isinstance(event, IncomingMeasured) and event.name == AGE:
        return replace(event, values=tuple(None if value is None else value + by_s for value in event.values))
    return event
