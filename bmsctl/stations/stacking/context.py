"""What a stacking step may use, and what it leaves for later ones, also across the end of the program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bmsctl.domain.events import (
    ActionDone,
    ActionIntended,
    ActionUnknown,
    Event,
    Measured,
    ModuleAccepted,
    PartInstalled,
    PartRemoved,
    Tightened,
)
from bmsctl.domain.limits import Reading
from bmsctl.domain.parts import bolt_slot
from bmsctl.protocols.part_label import PartLabel
from bmsctl.stations import step
from bmsctl.stations.stacking.devices import Devices


@dataclass
class StackingFacts:
    """The pack as it stands, and what is known of how it came there.

    `parts`: serial of what is in each slot, None for a part without. `accepted`: modules measured, by slot, whether in
    it or not yet. `tightenings`: those of the bolt that is in now. `pending`: an action that was intended and of which
    nobody knows whether it was done. `newest_id`: the controller's last tightening that is on record here; 0: none.
    `earlier`: readings of an earlier attempt, by step and name, which still hold for parts that have stayed in.
    """

    serial: str
    tray: PartLabel
    image: bytes
    parts: dict[str, str | None] = field(default_factory=dict)
    accepted: dict[str, ModuleAccepted] = field(default_factory=dict)
    tightenings: dict[str, list[Tightened]] = field(default_factory=dict)
    pending: ActionIntended | None = None
    newest_id: int = 0
    earlier: Mapping[tuple[str, str], Reading] = field(default_factory=dict)
    stack_voltage_v: float | None = None

    def learn(self, events: Iterable[Event]) -> None:
        """Take in what has happened to the pack; every event that a step logs is to be learned, too."""
        for event in events:
            if isinstance(event, ModuleAccepted):
                self.accepted[event.slot] = event
            elif isinstance(event, PartInstalled):
                self.parts[event.slot] = event.serial
            elif isinstance(event, PartRemoved):
                self.parts.pop(event.slot, None)
                self.accepted.pop(event.slot, None)
                self.tightenings.pop(event.slot, None)
            elif isinstance(event, Tightened):
                self.tightenings.setdefault(bolt_slot(event.bolt), []).append(event)
                self.newest_id = max(self.newest_id, event.tightening_id)
            elif isinstance(event, ActionIntended):
                self.pending = event
            elif isinstance(event, ActionDone | ActionUnknown):
                self.pending = None


StepContext: TypeAlias = step.StepContext[Devices, StackingFacts]
Step: TypeAlias = step.Step[Devices, StackingFacts]


def readings_of(events: Iterable[Event]) -> dict[tuple[str, str], Reading]:
    """What an attempt measured, by step and name; the last of each."""
    return {
        (event.step, event.name): Reading(event.value, event.unit, event.u95 or 0.0, bound=event.bound)
        for event in events
        if isinstance(event, Measured)
    }
