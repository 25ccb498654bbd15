"""Sense wires and balancing switches between cells and monitoring chips.

A balancing switch bleeds its cell through a resistor behind the sense wires, which neighbours within a chip share:
the chip sees that cell low by the drop along both its wires, and each neighbour high by the drop along one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set

import numpy as np
from numpy.typing import NDArray

from firmware_stubs.plant.history import History
from firmware_stubs.population import CHIP_CHANNELS

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

BLEED_OHM = 33.0


class Harness:
    """The wires of one pack. Cells count from 1, at the negative pole."""

    def __init__(self, series: int, sense_ohm: F64, stuck: Mapping[int, bool], broken: Set[int]) -> None:
        """`sense_ohm`: (chips, channels + 1). `stuck`: switches that do not move, True for closed."""
        cell = np.arange(series)
        chip, channel = np.divmod(cell, CHIP_CHANNELS)
        self._minus_ohm: F64 = sense_ohm[chip, channel]
        self._plus_ohm: F64 = sense_ohm[chip, channel + 1]
        self._shared_ohm = np.where(channel[1:] > 0, self._minus_ohm[1:], 0.0)
        self._open: Mask = np.isin(cell + 1, list(broken))
        self._held_on: Mask = np.isin(cell + 1, [number for number, on in stuck.items() if on])
        self._held_off: Mask = np.isin(cell + 1, [number for number, on in stuck.items() if not on])
        self._bleeding = History(-math.inf, self._conducting(0))

    def bleed(self, t_s: float, cells: int) -> None:
        """Command exactly these balancing switches on: a bitmap, cell 1 the lowest bit."""
        self._bleeding.append(t_s, self._conducting(cells))

    def seen_v(self, t_s: float, cell_v: F64) -> F64:
        """(series,) voltages at the chips' inputs for those at the cells; NaN behind an open wire."""
        bleeding = self._bleeding.at(t_s)
        if bleeding is not None:
            bleed_a = np.where(bleeding, cell_v / (BLEED_OHM + self._minus_ohm + self._plus_ohm), 0.0)
            cell_v = cell_v - bleed_a * (self._minus_ohm + self._plus_ohm)
            cell_v[1:] += bleed_a[:-1] * self._shared_ohm
            cell_v[:-1] += bleed_a[1:] * self._shared_ohm
        return np.where(self._open, math.nan, cell_v)

    def _conducting(self, cells: int) -> Mask | None:
        """Which cells bleed when these are commanded; None for none."""
        series = len(self._open)
        packed = np.frombuffer((cells & (1 << series) - 1).to_bytes(-(-series // 8), "little"), np.uint8)
        commanded = np.unpackbits(packed, bitorder="little")[:series].astype(np.bool_)
        bleeding: Mask = (commanded | self._held_on) & ~self._held_off & ~self._open
        return bleeding if bleeding.any() else None
