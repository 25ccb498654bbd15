"""The BMS's insulation monitor: slow to start, and slow to settle against the pack's Y capacitance.

It drives the pack against the chassis through its coupling and watches the voltage settle, so a value read
too early is too low.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from bmsctl.protocols.bms_broadcast import InsulationState
from firmware_stubs.bms.measure import BmsPlant
from firmware_stubs.noise import Noise, draw

GAIN_SD = 0.02
NOISE = 0.01
FIRST_VALUE_S = (2.0, 5.0)
SETTLING_S = (0.8, 1.5)
"""Range of the time constant, coupling resistance times Y capacitance."""
SETTLED = 5.0
"""Time constants after the first value until it counts as settled."""
PERIOD_S = 1.0


class Monitored(NamedTuple):
    """What the monitor says; None while it has no value."""

    resistance_ohm: float | None
    state: InsulationState


class InsulationMonitor:
    """One unit's monitor, of both poles in parallel."""

    def __init__(self, plant: BmsPlant, gain: float, seed: int) -> None:
        """`gain`: on top of the drawn one, 1 for a good unit."""
        self._plant = plant
        self._gain = gain * (1.0 + GAIN_SD * float(draw(seed, "bms.imd_gain").standard_normal()))
        self._noise = Noise(seed, "bms.imd")
        self._starts = draw(seed, "bms.imd_start")
        self._on_s: float | None = None
        self._first_s = 0.0
        self._tau_s = 1.0

    @property
    def on(self) -> bool:
        """Whether it measures."""
        return self._on_s is not None

    def switch(self, t_s: float, on: bool) -> None:
        """Start measuring anew, or stop."""
        if not on:
            self._on_s = None
        elif self._on_s is None:
            self._on_s = t_s
            self._first_s = float(self._starts.uniform(*FIRST_VALUE_S))
            self._tau_s = float(self._starts.uniform(*SETTLING_S))

    def read(self, t_s: float) -> Monitored:
        """Value and state."""
        if self._on_s is None:
            return Monitored(None, InsulationState.OFF)
        running_s = t_s - self._on_s
        if running_s < self._first_s:
            return Monitored(None, InsulationState.MEASURING)
        pos_ohm, neg_ohm = self._plant.insulation_ohm()
        true_ohm = pos_ohm * neg_ohm / (pos_ohm + neg_ohm)
        noise = NOISE * self._noise.one(int(t_s / PERIOD_S))
        settled = running_s >= self._first_s + SETTLED * self._tau_s
        approach = 1.0 - math.exp(-running_s / self._tau_s)
        state = InsulationState.SETTLED if settled else InsulationState.MEASURING
        return Monitored(true_ohm * self._gain * (1.0 + noise) * approach, state)

    def settled_ohm(self, t_s: float) -> float | None:
        """The value once it has settled."""
        monitored = self.read(t_s)
        return monitored.resistance_ohm if monitored.state is InsulationState.SETTLED else None
