"""Sense voltages of a bleeding stack wire by wire, and signatures cell by cell."""

from __future__ import annotations

import statistics
from collections.abc import Sequence, Set


def read_volts(true_v: Sequence[float], bleeding: Set[int], amps: float, wire_ohm: float, chip: int) -> list[float]:
    """What each channel reads while these cells (from 0) bleed; chips have wires of their own."""
    read = []
    for cell, volts in enumerate(true_v):
        for wire in (cell - 1, cell):
            # The wire between `wire` and `wire + 1` carries what its two cells draw through it, in opposite senses.
            own_chip = [
                other for other in (wire, wire + 1) if other // chip == cell // chip and 0 <= other < len(true_v)
            ]
            for other in own_chip:
                if other in bleeding:
                    volts += -amps * wire_ohm if other == cell else amps * wire_ohm
        read.append(volts)
    return read


def _without_common(volts: Sequence[float]) -> list[float]:
    known = [value for value in volts if value == value]
    return [value - statistics.fmean(known) for value in volts]


def signatures(fall: Sequence[Sequence[float]], chip: int) -> tuple[list[float], list[float]]:
    """Fall of each cell and the larger rise of its neighbours, out of falls by group and cell."""
    own, rise = [], []
    for cell in range(len(fall[0])):
        group = _without_common(fall[cell % len(fall)])
        own.append(group[cell])
        neighbours = [n for n in (cell - 1, cell + 1) if 0 <= n < len(group) and n // chip == cell // chip]
        rise.append(max((-group[n] for n in neighbours), default=float("nan")))
    return own, rise
