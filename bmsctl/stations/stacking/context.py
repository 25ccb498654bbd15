"""What a stacking step may use, and what it leaves for later ones, also across the end of the program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bmsctl.domain.events import (
    Event,
    Measured,
    PartRemoved,
)
from bmsctl.domain.limits import Reading, judge
from bmsctl.domain.pack_state import PackState
from bmsctl.domain.parts import measured_as, number_of
from bmsctl.domain.recipe import StepRecipe
from bmsctl.domain.steps import of_part
from bmsctl.domain.verdict import Verdict
from bmsctl.protocols.part_label import PartLabel
from bmsctl.stations import step
from bmsctl.stations.stacking.devices import Devices


@dataclass
class StackingFacts:
    """The pack that is built, and what is known of how it came there.

    `built`: as this attempt's events have left it. `removed`: serials of what was taken out, in earlier attempts, too.
    `earlier`: readings of an earlier attempt, by step and name, which still hold for parts that have stayed in.
    """

    serial: str
    tray: PartLabel
    image: bytes
    built: PackState = field(default_factory=PackState)
    removed: set[str] = field(default_factory=set)
    earlier: Mapping[tuple[str, str], Reading] = field(default_factory=dict)

    def learn(self, events: Iterable[Event]) -> None:
        """Take in what has happened to the pack; every event that a step logs is to be learned, too."""
        for event in events:
            self.built.take(event)
            if isinstance(event, PartRemoved):
                self._forget(event)

    def _forget(self, gone: PartRemoved) -> None:
        """What was measured of a part that is no longer in its slot is not true of the next one."""
        if gone.serial is not None:
            self.removed.add(gone.serial)
        part = f"[{measured_as(gone.slot)}]"
        self.earlier = {key: reading for key, reading in self.earlier.items() if not key[1].endswith(part)}

    def modules_voltage_v(self) -> float:
        """Sum of the accepted modules' open-circuit voltages, as the battery tester has measured them."""
        return sum(module.voltage for module in self.built.accepted.values())


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
