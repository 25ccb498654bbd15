"""What the insulation tester's frame lies on: a resistor and a capacitor to the housing, in closed form.

On a stack the frame ties the tester to both poles through equal resistors, so that the stack's own voltage cancels.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from firmware_stubs.plant import Node

OPEN_OHM, STRAY_F = 1e14, 50e-12
"""A lead that touches nothing."""
SOURCE_OHM_AT_REST = 1e6
PIECES_MAX = 64
"""More than a test has from its first look to its last."""


class Piece(NamedTuple):
    """From `start_s` on: voltage then, source and its resistor, what is connected."""

    start_s: float
    start_v: float
    source_v: float
    source_ohm: float
    ohm: float
    farad: float

    def volts(self, t_s: float) -> float:
        """Voltage at a time from its start on."""
        whole = self.ohm + self.source_ohm
        end_v = self.source_v * self.ohm / whole
        decay_s = self.farad * self.ohm * self.source_ohm / whole
        return end_v + (self.start_v - end_v) * math.exp(-(t_s - self.start_s) / decay_s)


class InsulatedParts:
    """Implements TestedPlant. Times are loop times; `on_source`: called when the tester drives something else."""

    def __init__(self, on_source: Callable[[], None]) -> None:
        self._on_source = on_source
        self._pieces = [Piece(0.0, 0.0, 0.0, SOURCE_OHM_AT_REST, OPEN_OHM, STRAY_F)]

    def connect(self, t_s: float, ohm: float, farad: float) -> None:
        """Lay the lead onto something uncharged of this insulation and capacitance."""
        last = self._pieces[-1]
        self._append(last._replace(start_s=max(t_s, last.start_s), start_v=0.0, ohm=ohm, farad=farad + STRAY_F))

    def disconnect(self, t_s: float) -> None:
        """Take the lead away."""
        self.connect(t_s, OPEN_OHM, 0.0)

    def tester_source(self, t_s: float, volts: float, ohm: float) -> None:
        """The tester drives its output to this voltage through `ohm`, from now on."""
        last = self._pieces[-1]
        start_s = max(t_s, last.start_s)
        self._append(last._replace(start_s=start_s, start_v=last.volts(start_s), source_v=volts, source_ohm=ohm))
        self._on_source()

    def tester_current_a(self, t_s: float) -> float:
        """Current out of the tester's output."""
        piece = self._at(t_s)
        return (piece.source_v - piece.volts(t_s)) / piece.source_ohm

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        """Of the tester's output against chassis.

        Raises:
            ValueError: other nodes; there are none here.
        """
        if (a, b) != (Node.TESTER, Node.PE):
            raise ValueError(f"{a.name} against {b.name}: the frame has the tester's output and chassis only")
        return self._at(t_s).volts(t_s)

    def stress_v(self, t_s: float) -> float:
        """The greater of what is driven and what is still there."""
        piece = self._at(t_s)
        return max(piece.source_v, piece.volts(t_s), key=abs)

    def _at(self, t_s: float) -> Piece:
        at = bisect_right(self._pieces, t_s, key=lambda piece: piece.start_s)
        return self._pieces[max(at - 1, 0)]

    def _append(self, piece: Piece) -> None:
        self._pieces.append(piece)
        del self._pieces[:-PIECES_MAX]
