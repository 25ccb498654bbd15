"""What a stacking step may use, and what it leaves for later ones, also across the end of the program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bmsctl.domain.events import (
    ActionDone,
    ActionIntended,
    ActionUnknown,
    Event,
    IncomingMeasured,
    Measured,
    ModuleAccepted,
    PartInstalled,
    PartRemoved,
    Tightened,
)
from bmsctl.domain.limits import Reading, judge
from bmsctl.domain.parts import bolt_of, bolt_slot, held_by, kind_of, measured_as, number_of
from bmsctl.domain.recipe import StepRecipe
from bmsctl.domain.steps import of_part
from bmsctl.domain.verdict import Verdict
from bmsctl.protocols.part_label import PartLabel
from bmsctl.stations import step
from bmsctl.stations.stacking.devices import Devices


@dataclass
class StackingFacts:
    """The pack as it stands, and what is known of how it came there.

    `parts`: serial of what is in each slot, None for a part without. `accepted`: modules measured, by slot, whether in
    it or not yet. `incoming`: names of the incoming data on record of what is in a slot. `removed`: serials of what was
    taken out. `tightenings`: those of the bolt that is in now. `tries`: how often a tightening was intended in a bolt's
    slot, since the part it holds is in. `pending`: an action that was intended and of which nobody knows whether it was
    done. `done`: identifiers of those that were. `earlier`: readings of an earlier attempt, by step and name, which
    still hold for parts that have stayed in.
    """

    serial: str
    tray: PartLabel
    image: bytes
    parts: dict[str, str | None] = field(default_factory=dict)
    accepted: dict[str, ModuleAccepted] = field(default_factory=dict)
    incoming: dict[str, set[str]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    tightenings: dict[str, list[Tightened]] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    pending: ActionIntended | None = None
    done: set[str] = field(default_factory=set)
    earlier: Mapping[tuple[str, str], Reading] = field(default_factory=dict)

    def learn(self, events: Iterable[Event]) -> None:
        """Take in what has happened to the pack; every event that a step logs is to be learned, too."""
        for event in events:
            if isinstance(event, ModuleAccepted):
                self.accepted[event.slot] = event
            elif isinstance(event, PartInstalled):
                self.parts[event.slot] = event.serial
            elif isinstance(event, IncomingMeasured):
                self.incoming.setdefault(event.slot, set()).add(event.name)
            elif isinstance(event, PartRemoved):
                self._forget(event)
            elif isinstance(event, Tightened):
                self.tightenings.setdefault(bolt_slot(event.bolt), []).append(event)
            elif isinstance(event, ActionIntended):
                self.pending = event
                self.tries[event.slot] = self.tries.get(event.slot, 0) + 1
            elif isinstance(event, ActionDone | ActionUnknown):
                self.pending = None
                if isinstance(event, ActionDone):
                    self.done.add(event.action_id)

    def _forget(self, gone: PartRemoved) -> None:
        """What was known of a part that is no longer in its slot is not true of the next one."""
        slot = gone.slot
        for known in (self.parts, self.accepted, self.incoming, self.tightenings):
            known.pop(slot, None)
        if gone.serial is not None:
            self.removed.add(gone.serial)
        self.tries = {bolt: tries for bolt, tries in self.tries.items() if not _holds(bolt, slot)}
        part = f"[{measured_as(slot)}]"
        self.earlier = {key: reading for key, reading in self.earlier.items() if not key[1].endswith(part)}

    def modules_voltage_v(self) -> float:
        """Sum of the accepted modules' open-circuit voltages, as the battery tester has measured them."""
        return sum(module.voltage for module in self.accepted.values())


def _holds(holding: str, held: str) -> bool:
    """Whether what is in the first slot is a bolt that holds the part in the second."""
    return kind_of(holding) == "bolt" and held_by(bolt_of(holding)) == held


StepContext: TypeAlias = step.StepContext[Devices, StackingFacts]
Step: TypeAlias = step.Step[Devices, StackingFacts]


def record(ctx: StepContext, *events: Event) -> None:
    """Log what has happened to the pack, and take it in."""
    for event in events:
        ctx.log.append(event)
    ctx.facts.learn(events)
    ctx.log.commit_soon()


def measure_once(ctx: StepContext, name: str, reading: Reading) -> Verdict:
    """Measure, unless an earlier process of this attempt has: then what it has measured stays."""
    known = ctx.measurements.get(name)
    return ctx.measure(name, reading) if known is None else known.verdict


def verdicts_of(ctx: StepContext, part: str, *names: str) -> list[Verdict]:
    """Verdicts of those of a part's measurements that have been made."""
    known = (ctx.measurements.get(of_part(name, part)) for name in names)
    return [measurement.verdict for measurement in known if measurement is not None]


def measure_earlier(ctx: StepContext, part: str, *names: str) -> list[Verdict] | None:
    """Measure by the readings of an earlier attempt; None if one of them is not known, or would not pass.

    Only for a part that has stayed in the pack since.
    """
    readings = {name: ctx.facts.earlier.get((ctx.recipe.run, name)) for name in (of_part(each, part) for each in names)}
    for name, reading in readings.items():
        if judge(name, reading, ctx.recipe.limits[name]).verdict is not Verdict.PASS:
            return None
    return [measure_once(ctx, name, reading) for name, reading in readings.items() if reading is not None]


def slots_of(recipe: StepRecipe, name: str) -> list[tuple[str, str]]:
    """A table by slot, in the order of the slots' numbers: a recipe that was stored has lost its own."""
    return sorted(recipe.table(name).items(), key=lambda entry: number_of(entry[0]))


def readings_of(events: Iterable[Event]) -> dict[tuple[str, str], Reading]:
    """What an attempt measured, by step and name; the last of each. Without an uncertainty none can be judged."""
    return {
        (event.step, event.name): Reading(
            event.value, event.unit, math.nan if event.u95 is None else event.u95, bound=event.bound
        )
        for event in events
        if isinstance(event, Measured)
    }
