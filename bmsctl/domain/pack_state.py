"""A pack as events have left it: what is in it, what was taken out, and what nobody knows the end of.

It is folded here and nowhere else; the record's genealogy, a rework and the running station all read this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bmsctl.domain.events import (
    ActionDone,
    ActionIntended,
    ActionUnknown,
    Event,
    IncomingMeasured,
    ModuleAccepted,
    PartInstalled,
    PartRemoved,
    Tightened,
)
from bmsctl.domain.parts import bolt_of, bolt_slot, held_by, kind_of


@dataclass
class Part:
    """A part that went into a slot, all that was told of it since, and how it came out; `removed` None: it is in."""

    installed: PartInstalled
    told: list[IncomingMeasured | Tightened] = field(default_factory=list)
    removed: PartRemoved | None = None

    @property
    def incoming(self) -> list[IncomingMeasured]:
        """Its incoming data."""
        return [event for event in self.told if isinstance(event, IncomingMeasured)]

    @property
    def tightenings(self) -> list[Tightened]:
        """How it was tightened, if it is a bolt."""
        return [event for event in self.told if isinstance(event, Tightened)]


@dataclass
class PackState:
    """A pack as events have left it.

    `history`: every part ever installed, in order. `parts`: those that are in, by slot, in the order installed.
    `accepted`: modules measured for a slot, in it or not yet. `tries`: how often a tightening was intended in a bolt's
    slot, since the part it holds is in. `pending`: an action that was intended and of which nobody knows whether it was
    done. `done`: identifiers of those that were.
    """

    history: list[Part] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    accepted: dict[str, ModuleAccepted] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    pending: ActionIntended | None = None
    done: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, events: Iterable[Event]) -> PackState:
        """How these events have left the pack."""
        pack = cls()
        for event in events:
            pack.take(event)
        return pack

    def take(self, event: Event) -> None:
        """Take in what has happened to the pack; what is told of a part that is not in is told of none."""
        if isinstance(event, ModuleAccepted):
            self.accepted[event.slot] = event
        elif isinstance(event, PartInstalled):
            self.parts[event.slot] = Part(event)
            self.history.append(self.parts[event.slot])
        elif isinstance(event, PartRemoved):
            self._remove(event)
        elif isinstance(event, IncomingMeasured | Tightened):
            slot = event.slot if isinstance(event, IncomingMeasured) else bolt_slot(event.bolt)
            if slot in self.parts:
                self.parts[slot].told.append(event)
        elif isinstance(event, ActionIntended):
            self.pending = event
            self.tries[event.slot] = self.tries.get(event.slot, 0) + 1
        elif isinstance(event, ActionDone | ActionUnknown):
            self.pending = None
            if isinstance(event, ActionDone):
                self.done.add(event.action_id)

    def _remove(self, gone: PartRemoved) -> None:
        part = self.parts.pop(gone.slot, None)
        if part is not None:
            part.removed = gone
        self.accepted.pop(gone.slot, None)
        self.tries = {slot: tries for slot, tries in self.tries.items() if not _holds(slot, gone.slot)}

    def tightenings(self, bolt: str) -> list[Tightened]:
        """Those of the bolt of this name that is in."""
        part = self.parts.get(bolt_slot(bolt))
        return [] if part is None else part.tightenings


def _holds(holding: str, held: str) -> bool:
    """Whether what is in the first slot is a bolt that holds the part in the second."""
    return kind_of(holding) == "bolt" and held_by(bolt_of(holding)) == held
