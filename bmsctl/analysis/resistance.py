"""Resistances of a pack from current pulses: cell against cell, and the pack at its reference temperature."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

KELVIN = 273.15
REFERENCE_K = 298.15


class ModuleDeviation(NamedTuple):
    """The cell that lies highest above its module's median: its number from 1, its module's, and by how many %."""

    cell: int
    module: int
    deviation: float


def highest_in_module(resistance: F64, modules: int) -> ModuleDeviation:
    """Compare each cell with the median of its module; the unit of `resistance` does not matter.

    Args:
        resistance: (series,), cell 1 at the negative pole; a cell without value is NaN, and then it is the answer.
        modules: how many modules of equal length make up the series; a median of 0 gives no finite deviation.
    """
    by_module = resistance.reshape(modules, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = (100.0 * (by_module / np.median(by_module, axis=1, keepdims=True) - 1.0)).ravel()
    silent = np.flatnonzero(np.isnan(resistance))
    cell = int(silent[0]) if len(silent) else int(np.argmax(deviation))
    return ModuleDeviation(cell + 1, cell // by_module.shape[1] + 1, float(deviation[cell]))


def at_reference_temperature(ohm: float, temperature_c: float, activation_k: float) -> float:
    """Resistance at 25 °C of one measured at `temperature_c`.

    R(T) = R(25 °C) exp(Ta (1/T - 1/298.15 K)), the Arrhenius law with activation temperature Ta = Ea / R in K.
    """
    return ohm * math.exp(activation_k * (1.0 / REFERENCE_K - 1.0 / (temperature_c + KELVIN)))
