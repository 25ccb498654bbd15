"""The cell groups of one pack: open-circuit voltage, resistance that builds up under current, charge.

Each group is an open-circuit voltage over state of charge, a resistor, and two RC elements whose resistances add up
to the group's after 10 s. Only the cycler moves charge; what loads and meters draw drops along the resistor alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from firmware_stubs.population import REFERENCE_C, PackUnit

F64 = NDArray[np.float64]

OCV_SOC = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
OCV_V = np.array(
    [3.0, 3.34, 3.45, 3.51, 3.555, 3.592, 3.622, 3.645, 3.663, 3.705, 3.79, 3.89, 3.99, 4.09, 4.2]
)  # NMC against graphite at 25 °C, estimated

_SLOPES = np.concatenate([[0.0], np.diff(OCV_V) / np.diff(OCV_SOC), [0.0]])
"""Below, between and above the points of the table."""

PULSE_S = 10.0
"""After which a group has the resistance that it is known by."""
OHMIC_SHARE, FAST_SHARE, SLOW_SHARE = 0.6, 0.3, 0.1
"""Of that resistance."""
FAST_S, SLOW_S = 2.0, 60.0

ARRHENIUS_K = 0.0365 * (REFERENCE_C + 273.15) ** 2
"""Activation energy over the gas constant: 3.65 %/K at REFERENCE_C."""

SETTLED_V = 1e-6
"""Polarisation of a group that no longer shows."""


class Cells:
    """What does not change: resistances, capacities, and how the cells came in. All (series,).

    ohmic_ohm, fast_ohm, slow_ohm at the pack's temperature. soc, rest_v: when the pack arrived. incoming_v: rest
    voltages measured when the modules came in, by another instrument.
    """

    def __init__(self, unit: PackUnit) -> None:
        rest_v = float(np.interp(unit.soc, OCV_SOC, OCV_V)) + unit.rest_spread_v
        self.soc: F64 = np.interp(rest_v, OCV_V, OCV_SOC)
        self.rest_v: F64 = np.interp(self.soc, OCV_SOC, OCV_V)
        self.incoming_v: F64 = self.rest_v + unit.self_discharge_v_per_h * unit.age_s / 3600.0 + unit.incoming_error_v
        group_ohm = unit.group_ohm * resistance_factor(_at_each_cell(unit))
        self.ohmic_ohm: F64 = OHMIC_SHARE * group_ohm
        self.fast_ohm: F64 = FAST_SHARE * group_ohm / -math.expm1(-PULSE_S / FAST_S)
        self.slow_ohm: F64 = SLOW_SHARE * group_ohm / -math.expm1(-PULSE_S / SLOW_S)
        self.capacity_ah = unit.capacity_ah

    @property
    def stack_v(self) -> float:
        """Rest voltages when the pack arrived, added up."""
        return float(self.rest_v.sum())


def resistance_factor(temperature_c: F64) -> F64:
    """How many times its resistance at REFERENCE_C a cell has, by Arrhenius."""
    factor: F64 = np.exp(ARRHENIUS_K * (1.0 / (temperature_c + 273.15) - 1.0 / (REFERENCE_C + 273.15)))
    return factor


def _at_each_cell(unit: PackUnit) -> F64:
    """(series,) temperature of the nearest thermistor; they are spread evenly along the string."""
    series, thermistors = len(unit.group_ohm), len(unit.temperature_c)
    nearest: F64 = unit.temperature_c[np.arange(series) * thermistors // series]
    return nearest


class Flow:
    """The cells while one current flows through them, or none; charge counts positive.

    As a drift of the network's first source it is the stack's electromotive force: open-circuit voltages and
    polarisation, added up.
    """

    __slots__ = (
        "_age_s",
        "_ages_s",
        "_cells",
        "_charge_ah",
        "_fast_v",
        "_newest",
        "_ocv_v",
        "_ocvs_v",
        "_settled_s",
        "_slow_v",
        "_soc",
        "_start_s",
        "_sums_v",
        "current_a",
    )

    def __init__(
        self, cells: Cells, start_s: float, current_a: float, soc: F64, polarised_v: tuple[F64, F64], charge_ah: float
    ) -> None:
        """State at `start_s`; `polarised_v`: (series,) of the fast and of the slow RC elements."""
        self.current_a = current_a
        self._cells, self._start_s, self._soc, self._charge_ah = cells, start_s, soc, charge_ah
        self._fast_v, self._slow_v = polarised_v
        self._settled_s = self._settles_s()
        self._age_s, self._ocv_v = self._course()
        self._ages_s: list[float] = self._age_s.tolist()
        self._ocvs_v: list[float] = self._ocv_v.tolist()
        self._newest = math.nan, 0.0
        level_v = current_a * float((cells.fast_ohm + cells.slow_ohm).sum())
        fading_v = [float((volts - current_a * ohm).sum()) for volts, ohm in self._elements()]
        self._sums_v = level_v, fading_v[0], fading_v[1]

    @classmethod
    def at_rest(cls, cells: Cells) -> Flow:
        """No current since ever."""
        nothing = np.zeros(len(cells.soc))
        return cls(cells, 0.0, 0.0, cells.soc, (nothing, nothing), 0.0)

    def changed(self, t_s: float, current_a: float) -> Flow:
        """The same cells with another current from `t_s` on."""
        fast_v, slow_v = self._polarised_v(t_s)
        return Flow(self._cells, t_s, current_a, self.cell_soc(t_s), (fast_v, slow_v), self.charge_ah(t_s))

    def drifting(self, t_s: float) -> bool:
        """Whether voltages still move at `t_s` or later."""
        return t_s < self._settled_s

    def strength(self, t_s: float) -> float:
        """Electromotive force of the stack in volts."""
        newest_s, volts = self._newest
        if t_s != newest_s:
            age_s = t_s - self._start_s
            level_v, fast_v, slow_v = self._sums_v
            faded_v = fast_v * math.exp(-age_s / FAST_S) + slow_v * math.exp(-age_s / SLOW_S)
            volts = self._open_circuit_v(age_s) + level_v + faded_v
            self._newest = t_s, volts
        return volts

    def _open_circuit_v(self, age_s: float) -> float:
        """Of the stack; to the last bit what np.interp gives."""
        ages_s, volts = self._ages_s, self._ocvs_v
        at = bisect_right(ages_s, age_s) - 1
        if at < 0:
            return volts[0]
        if at + 1 >= len(ages_s) or ages_s[at] == age_s:
            return volts[at]
        slope = (volts[at + 1] - volts[at]) / (ages_s[at + 1] - ages_s[at])
        return slope * (age_s - ages_s[at]) + volts[at]

    def strengths(self, t_s: F64) -> F64:
        """(n,) electromotive force of the stack in volts, at times (n,)."""
        age_s = t_s - self._start_s
        level_v, fast_v, slow_v = self._sums_v
        volts: F64 = np.interp(age_s, self._age_s, self._ocv_v)
        volts += level_v + fast_v * np.exp(age_s / -FAST_S) + slow_v * np.exp(age_s / -SLOW_S)
        return volts

    def cell_emf_v(self, t_s: float) -> F64:
        """(series,) voltages behind the ohmic resistance."""
        volts: F64 = np.interp(self.cell_soc(t_s), OCV_SOC, OCV_V)
        if t_s < self._settled_s:
            fast_v, slow_v = self._polarised_v(t_s)
            volts += fast_v + slow_v
        return volts

    def cell_soc(self, t_s: float) -> F64:
        """(series,) states of charge."""
        soc: F64 = self._soc + self.current_a * (t_s - self._start_s) / (3600.0 * self._cells.capacity_ah)
        return soc

    def charge_ah(self, t_s: float) -> float:
        """Net charge since the beginning."""
        return self._charge_ah + self.current_a * (t_s - self._start_s) / 3600.0

    def _elements(self) -> tuple[tuple[F64, F64], tuple[F64, F64]]:
        """Voltage at the start and resistance, of the fast and of the slow RC elements."""
        return (self._fast_v, self._cells.fast_ohm), (self._slow_v, self._cells.slow_ohm)

    def _polarised_v(self, t_s: float) -> tuple[F64, F64]:
        """(series,) voltages of the fast and of the slow RC elements."""
        age_s = t_s - self._start_s
        left = math.exp(-age_s / FAST_S), math.exp(-age_s / SLOW_S)
        fast_v, slow_v = (
            self.current_a * ohm * (1.0 - share) + volts * share
            for (volts, ohm), share in zip(self._elements(), left, strict=True)
        )
        return fast_v, slow_v

    def _settles_s(self) -> float:
        """When voltages no longer move."""
        if self.current_a:
            return math.inf
        peak_v = float(max(np.abs(self._fast_v).max(), np.abs(self._slow_v).max()))
        return -math.inf if peak_v <= SETTLED_V else self._start_s + SLOW_S * math.log(peak_v / SETTLED_V)

    def _course(self) -> tuple[F64, F64]:
        """Ages and values of the stack's open-circuit voltage, exactly linear between them.

        A cell's bends where it comes to a point of the table.
        """
        at_start_v = float(np.interp(self._soc, OCV_SOC, OCV_V).sum())
        if not self.current_a:
            return np.zeros(1), np.array([at_start_v])
        soc_per_s = self.current_a / (3600.0 * self._cells.capacity_ah)
        reached_s = (OCV_SOC - self._soc[:, None]) / soc_per_s[:, None]
        ahead = reached_s > 0.0
        order = np.argsort(reached_s[ahead])
        bends = (np.abs(soc_per_s)[:, None] * np.diff(_SLOPES))[ahead][order]
        between = np.searchsorted(OCV_SOC, self._soc, side="right" if self.current_a > 0.0 else "left")
        age_s = np.append(0.0, reached_s[ahead][order])
        v_per_s = float(soc_per_s @ _SLOPES[between]) + np.cumsum(np.append(0.0, bends))
        return age_s, at_start_v + np.append(0.0, np.cumsum(v_per_s[:-1] * np.diff(age_s)))
