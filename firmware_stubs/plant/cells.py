"""The cell groups of one pack: rest voltage from state of charge, drop under current, temperature."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from firmware_stubs.population import PackUnit

F64 = NDArray[np.float64]

OCV_SOC = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
OCV_V = np.array(
    [3.0, 3.34, 3.45, 3.51, 3.555, 3.592, 3.622, 3.645, 3.663, 3.705, 3.79, 3.89, 3.99, 4.09, 4.2]
)  # NMC against graphite at 25 °C, estimated


class Cells:
    """Constant at rest: packs are on the station for minutes, and no current of Ah flows."""

    def __init__(self, unit: PackUnit, offset_v: Mapping[int, float]) -> None:
        """`offset_v`: for cells (from 1, at the negative pole) charged differently, by this much in rest voltage."""
        rest_v = float(np.interp(unit.soc, OCV_SOC, OCV_V)) + unit.rest_spread_v
        for cell, volts in offset_v.items():
            rest_v[cell - 1] += volts
        self.soc: F64 = np.interp(rest_v, OCV_V, OCV_SOC)
        self.rest_v: F64 = np.interp(self.soc, OCV_SOC, OCV_V)
        self.incoming_v: F64 = self.rest_v + unit.incoming_error_v
        self.stack_v = float(self.rest_v.sum())
        self._ohm = unit.group_ohm

    def voltage_v(self, charge_a: float) -> F64:
        """(series,) voltage of each group while this current charges."""
        voltage_v: F64 = self.rest_v + charge_a * self._ohm
        return voltage_v
