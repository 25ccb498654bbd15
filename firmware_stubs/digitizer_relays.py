"""The digitizer's relays: each puts a known resistor between a pole and chassis, at most one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from typing import Protocol

from bmsctl.domain.ports import Resistor
from firmware_stubs.noise import Noise, draw
from firmware_stubs.plant import Element

RELAY_S = (0.001, 0.003)
EDGE_SPREAD_S = 50e-6
STEP_S = 0.004
"""Until the auxiliary contacts are believed."""

_ELEMENTS = {
    Resistor.R0_MINUS: Element.R0_MINUS,
    Resistor.R0_PLUS: Element.R0_PLUS,
    Resistor.REFERENCE: Element.REFERENCE,
}


class SwitchedPlant(Protocol):
    """What the relays switch."""

    def switch(self, t_s: float, element: Element, closed: bool) -> None: ...


class ResistorRelays:
    """Break before make. A relay has a delay of its own, and an edge that nobody knows to better than EDGE_SPREAD_S.

    `closed`: by the auxiliary contacts. `busy`: an insertion is under way. `stuck`: resistors whose relay no longer
    moves.
    """

    def __init__(self, plant: SwitchedPlant, seed: int) -> None:
        self._plant = plant
        self._loop = asyncio.get_running_loop()
        delays_s = draw(seed, "digitizer.relays").uniform(*RELAY_S, len(Resistor)).tolist()
        self._delay_s = dict(zip(Resistor, delays_s, strict=True))
        self._edges = Noise(seed, "digitizer.edges")
        self._actuations = 0
        self._motions: dict[Resistor, asyncio.TimerHandle] = {}
        self._wanted: Resistor | None = None
        self.busy = False
        self.closed: Set[Resistor] = frozenset()
        self.stuck: Set[Resistor] = frozenset()

    def insert(self, resistor: Resistor | None, done: Callable[[], None]) -> None:
        """Put exactly this resistor in, or none, and call `done` when the contacts are believed."""
        self._wanted, self.busy = resistor, True
        opening = self.closed - {resistor}
        for other in Resistor:
            if other in opening:
                self._actuate(other, False)
        if opening:
            self._loop.call_later(STEP_S, self._make, done)
        else:
            self._make(done)

    def drop(self) -> None:
        """Every coil off, now; an insertion under way closes nothing any more."""
        self._wanted = None
        for resistor in Resistor:
            self._actuate(resistor, False)

    def _make(self, done: Callable[[], None]) -> None:
        if self._wanted is None or self.closed:
            self._finish(done)
            return
        self._actuate(self._wanted, True)
        self._loop.call_later(STEP_S, self._finish, done)

    def _finish(self, done: Callable[[], None]) -> None:
        self.busy = False
        done()

    def _actuate(self, resistor: Resistor, closed: bool) -> None:
        """Drive one coil; the contact follows, unless the coil is driven the other way before."""
        self._actuations += 1
        edge = max(-1.0, min(1.0, 0.5 * self._edges.one(self._actuations)))
        if resistor in self._motions:
            self._motions[resistor].cancel()
        delay_s = self._delay_s[resistor] + EDGE_SPREAD_S * edge
        self._motions[resistor] = self._loop.call_later(delay_s, self._moved, resistor, closed)

    def _moved(self, resistor: Resistor, closed: bool) -> None:
        if resistor in self.stuck or (resistor in self.closed) is closed:
            return
        self.closed = self.closed | {resistor} if closed else self.closed - {resistor}
        self._plant.switch(self._loop.time(), _ELEMENTS[resistor], closed)
