"""What the safety PLC switches: relays, and lines to the matrix, the sources and the pack.

Every output tells the order in which it acts on the world; when it may act is decided in `plc`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from bmsctl.protocols import plc
from firmware_stubs.plant import Element
from firmware_stubs.plc_meter import Measurable

RELAY_S = 0.015


class StationPlant(Measurable, Protocol):
    """What the PLC's outputs and inputs are wired to."""

    def switch(self, t_s: float, element: Element, closed: bool) -> None: ...
    def coil_supply(self, t_s: float, on: bool) -> None: ...
    def bridge_hvil(self, t_s: float, closed: bool) -> None: ...


def unwired(on: bool) -> None:
    """An output that leads nowhere."""


def unwired_line(t_s: float, on: bool) -> None:
    """An enable line that leads nowhere."""


class Relays:
    """Relays that a Request moves in any phase, given as flags of Status; a position is taken RELAY_S after."""

    def __init__(self, at_first: int, about_to_move: Callable[[], None], moved: Callable[[int], None]) -> None:
        """`about_to_move`: called before a position changes; `moved`: with the new one."""
        self._loop = asyncio.get_running_loop()
        self._about_to_move, self._moved = about_to_move, moved
        self.flags = self.wanted = at_first

    def drive(self, wanted: int) -> None:
        """Energise exactly these."""
        if wanted != self.wanted:
            self.wanted = wanted
            self._loop.call_later(RELAY_S, self._move, wanted)

    def _move(self, flags: int) -> None:
        self._about_to_move()
        self.flags = flags
        self._moved(flags)


class EnergyOutputs:
    """Outputs by which energy reaches the pack, de-energised at first.

    Args:
        on_energy: called when the feed of the matrix's relays is switched.
        on_coils: called when the pack's contactor coils are about to be fed, and after they have been cut.
        on_source: called with time and state when the enable line of the sources is switched; the time may be past.
    """

    def __init__(
        self,
        plant: StationPlant,
        t_s: float,
        on_energy: Callable[[bool], None],
        on_coils: Callable[[bool], None],
        on_source: Callable[[float, bool], None],
    ) -> None:
        self._plant = plant
        self.feed_matrix, self.warn_of_coils, self._on_source = on_energy, on_coils, on_source
        self._source = self._proof = self._broken = False
        self.coils = False
        plant.coil_supply(t_s, False)
        self.discharge(t_s, True)

    @property
    def flags(self) -> int:
        """What Status says of them."""
        return self.coils * plc.COIL_SUPPLY

    @property
    def proving(self) -> bool:
        """Whether the proof resistors are connected, by the feedback of their relay."""
        return self._proof

    def feed_coils(self, t_s: float, on: bool) -> None:
        """Feed, or cut, the pack's contactor coils."""
        self.coils = on
        self._plant.coil_supply(t_s, on)
        self.warn_of_coils(on)

    def enable_source(self, t_s: float, on: bool) -> None:
        """Give the sources their enable, or take it away."""
        if on != self._source:
            self._source = on
            self._on_source(t_s, on)

    def discharge(self, t_s: float, on: bool) -> None:
        """Put the discharge resistor across the outer poles, and the proof resistors to chassis, or take them off."""
        self._plant.switch(t_s, Element.DISCHARGE, on and not self._broken)
        self.prove(t_s, on)

    def break_discharge(self, t_s: float) -> None:
        """The relays of discharge and proof resistors open, and close no more."""
        self.discharge(t_s, False)
        self._broken = True

    def prove(self, t_s: float, on: bool) -> None:
        """Put the proof resistors from the outer poles to chassis, or take them off."""
        on = on and not self._broken
        if on != self._proof:
            self._proof = on
            self._plant.switch(t_s, Element.PE_PROOF, on)
