"""A resistor and a capacitor to chassis as a plant for the testers, in closed form; it may break down."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import NamedTuple

from firmware_stubs.plant import Node

ARC_OHM = 3e3


class Piece(NamedTuple):
    """From `start_s` on: voltage then, source and its resistor, resistance to chassis."""

    start_s: float
    start_v: float
    source_v: float
    source_ohm: float
    ohm: float


class InsulatedObject:
    """`sources`: (t_s, volts, ohm) of every time the tester was told to drive something. An arc stays."""

    def __init__(
        self, ohm: float, farad: float = 0.2e-6, breakdown_v: float = math.inf, at_first_v: float = 0.0
    ) -> None:
        self._farad = farad
        self._breakdown_v = breakdown_v
        self._pieces = [Piece(0.0, at_first_v, 0.0, 1e6, ohm)]
        self.sources: list[tuple[float, float, float]] = []

    def tester_source(self, t_s: float, volts: float, ohm: float) -> None:
        self.sources.append((t_s, volts, ohm))
        start_v, last = self._volts(t_s), self._pieces[-1]
        self._pieces.append(Piece(max(t_s, last.start_s), start_v, volts, ohm, last.ohm))

    def tester_current_a(self, t_s: float) -> float:
        piece = self._piece(t_s)
        return (piece.source_v - self._volts(t_s)) / piece.source_ohm

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        assert (a, b) == (Node.TESTER, Node.PE)
        return self._volts(t_s)

    def struck_s(self) -> float | None:
        """When the arc struck."""
        return next((piece.start_s for piece in self._pieces if piece.ohm == ARC_OHM), None)

    def _volts(self, t_s: float) -> float:
        piece = self._piece(t_s)
        end_v, decay_s = self._course(piece)
        return end_v + (piece.start_v - end_v) * math.exp(-(t_s - piece.start_s) / decay_s)

    def _course(self, piece: Piece) -> tuple[float, float]:
        end_v = piece.source_v * piece.ohm / (piece.ohm + piece.source_ohm)
        return end_v, self._farad * piece.ohm * piece.source_ohm / (piece.ohm + piece.source_ohm)

    def _piece(self, t_s: float) -> Piece:
        self._strike(t_s)
        at = bisect_right(self._pieces, t_s, key=lambda piece: piece.start_s)
        return self._pieces[max(at - 1, 0)]

    def _strike(self, t_s: float) -> None:
        """Begin the arc if the newest piece has reached the breakdown voltage by now."""
        piece = self._pieces[-1]
        end_v, decay_s = self._course(piece)
        if self.struck_s() is not None or end_v <= self._breakdown_v:
            return
        struck_s = piece.start_s + decay_s * math.log((end_v - piece.start_v) / (end_v - self._breakdown_v))
        if struck_s <= t_s:
            self._pieces.append(piece._replace(start_s=struck_s, start_v=self._breakdown_v, ohm=ARC_OHM))
