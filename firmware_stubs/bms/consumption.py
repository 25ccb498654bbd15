"""What the BMS draws from its 12 V supply, remembered so that an ammeter can average over any window."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import NamedTuple

from firmware_stubs.bms.measure import clipped
from firmware_stubs.noise import draw

AWAKE_A, AWAKE_SD_A = 0.30, 0.01
COIL_A = 0.9
ASLEEP_A, ASLEEP_SD_A = 0.8e-3, 0.2e-3
PULSE_A, PULSE_S, PULSE_EVERY_S = 6e-3, 0.05, 2.0
"""The clock's short wake-ups, on top of the current between them."""


class _Stretch(NamedTuple):
    """A constant current from `start_s` on, with pulses while asleep; `before_as`: charge drawn until then."""

    start_s: float
    level_a: float
    pulsed: bool
    before_as: float

    def drawn_as(self, t_s: float) -> float:
        """Charge drawn until `t_s`. A pulse ends each of its periods, the first one after a whole period."""
        lasted_s = t_s - self.start_s
        charge_as = self.before_as + self.level_a * lasted_s if self.level_a else self.before_as
        if self.pulsed:
            periods, into_s = divmod(lasted_s, PULSE_EVERY_S)
            charge_as += PULSE_A * (periods * PULSE_S + max(0.0, into_s - PULSE_EVERY_S + PULSE_S))
        return charge_as


class Consumption:
    """One unit's supply current over time."""

    def __init__(self, quiescent_a: float | None, seed: int) -> None:
        """`quiescent_a`: mean current asleep, instead of the drawn one."""
        asleep, awake = draw(seed, "bms.asleep").standard_normal(), draw(seed, "bms.awake").standard_normal()
        mean_a = ASLEEP_A + ASLEEP_SD_A * clipped(asleep) if quiescent_a is None else quiescent_a
        self._asleep_a = max(0.0, mean_a - PULSE_A * PULSE_S / PULSE_EVERY_S)
        self._awake_a = AWAKE_A + AWAKE_SD_A * clipped(awake)
        self._stretches = [_Stretch(-math.inf, 0.0, False, 0.0)]

    def off(self, t_s: float) -> None:
        """Nothing from now on."""
        self._go_on(t_s, 0.0, pulsed=False)

    def asleep(self, t_s: float) -> None:
        """Quiescent current from now on."""
        self._go_on(t_s, self._asleep_a, pulsed=True)

    def awake(self, t_s: float, coils: int) -> None:
        """Working current from now on, with this many coils driven."""
        self._go_on(t_s, self._awake_a + COIL_A * coils, pulsed=False)

    def current_a(self, t_s: float) -> float:
        """Current at a moment."""
        stretch = self._at(t_s)
        pulsing = stretch.pulsed and (t_s - stretch.start_s) % PULSE_EVERY_S >= PULSE_EVERY_S - PULSE_S
        return stretch.level_a + PULSE_A * pulsing

    def mean_a(self, from_s: float, to_s: float) -> float:
        """Mean current over a window, exactly."""
        return (self._at(to_s).drawn_as(to_s) - self._at(from_s).drawn_as(from_s)) / (to_s - from_s)

    def _go_on(self, t_s: float, level_a: float, *, pulsed: bool) -> None:
        last = self._stretches[-1]
        if (level_a, pulsed) != (last.level_a, last.pulsed):
            self._stretches.append(_Stretch(t_s, level_a, pulsed, last.drawn_as(t_s)))

    def _at(self, t_s: float) -> _Stretch:
        return self._stretches[bisect_right(self._stretches, t_s, key=lambda stretch: stretch.start_s) - 1]
