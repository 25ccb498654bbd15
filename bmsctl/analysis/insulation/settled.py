"""Insulation of a pack on its own voltage, by two voltmeters and one known resistor put at either pole in turn.

With the resistor at the minus pole the poles settle at the ratio a1 = U+ / U-, with it at the plus pole at a2, both
as magnitudes. The current balance at the chassis then gives the conductance of each pole to the chassis,

    G+ = G0 (1 + a2) / (a1 - a2)        G- = a1 G+ - G0

of which the voltmeters' own is taken off. A common gain of the voltmeters cancels, and so does the pack's voltage.
The poles settle with the time constant C / (G+ + G- + G0), which gives the Y capacitance.

Source: ISO 6469-1:2019, isolation resistance with the system's own voltage; balance of currents at the chassis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

BLOCK_S = 0.02
"""One period of 50 Hz mains: its hum falls out of the mean, and an exponential stays one."""
BLOCKS_MIN = 20
TAU_MIN_S = BLOCK_S / 2
"""Faster than this, a transient is over before it can be timed; the capacitance is bounded."""
TAUS_MIN = 2.0
"""A recording shorter than so many time constants is not extrapolated."""
RESIDUAL_MAX = 3e-4
"""Of the pack voltage: what a fit may leave, thirty times the front end's noise."""
SWING_MIN = 1e-3
"""Of the pack voltage: what the resistor must at least have moved the poles."""
FREE_AGREES = 0.02
"""Of the pack voltage: how well the poles without resistor must agree with the two conductances."""

_GRID, _ZOOMS = 41, 5


class Poles(NamedTuple):
    """Gapless voltages to chassis from a change on, (n,) volts each: plus pole, minus pole."""

    plus_v: F64
    minus_v: F64


class Insulation(NamedTuple):
    """Conductances of each pole to chassis in siemens without the voltmeters'; C+ and C- together in farads.

    A conductance near zero, or less, is better than can be told. `y_farad` is an upper bound unless `y_resolved`.
    `undecided`: why there is no answer, and all figures are NaN; empty if there is one.
    """

    plus_s: float
    minus_s: float
    y_farad: float
    y_resolved: bool
    undecided: str = ""


class _Fit(NamedTuple):
    """Levels (plus, minus) that a segment settles to, and sum of squares left, by blocks and channels."""

    level_v: F64
    residual: float


def two_meter_insulation(
    free: Poles, at_minus: Poles, at_plus: Poles, sample_rate_hz: float, test_ohm: float, meter_ohm: float
) -> Insulation:
    """Conductances and capacitance from one recording in three parts.

    Level and amplitude are fitted to each part, one time constant to both parts with the resistor, by least squares
    on block means. The part without it is not part of the answer: it must agree with it.

    Args:
        free: without resistor.
        at_minus: with the resistor between the minus pole and chassis.
        at_plus: with the resistor between the plus pole and chassis.
        sample_rate_hz: samples per second.
        test_ohm: the resistor.
        meter_ohm: input resistance of each voltmeter.

    Returns:
        The answer, or why there is none.
    """
    free_v, minus_v, plus_v = (_blocks(part, sample_rate_hz) for part in (free, at_minus, at_plus))
    if min(part.shape[1] for part in (free_v, minus_v, plus_v)) < BLOCKS_MIN:
        return _undecided("the recording is too short")
    if not all(np.isfinite(part).all() for part in (free_v, minus_v, plus_v)):
        return _undecided("the recording holds no numbers")
    tau_s = _common_tau(minus_v, plus_v)
    with_minus, with_plus = _fit(minus_v, tau_s), _fit(plus_v, tau_s)
    why = _unusable(tau_s, with_minus, with_plus, min(minus_v.shape[1], plus_v.shape[1]))
    if why:
        return _undecided(why)
    a1 = -with_minus.level_v[0] / with_minus.level_v[1]
    a2 = -with_plus.level_v[0] / with_plus.level_v[1]
    test_s = 1.0 / test_ohm
    plus_s = test_s * (1.0 + a2) / (a1 - a2)
    minus_s = a1 * plus_s - test_s
    y_farad = max(tau_s, TAU_MIN_S) * (plus_s + minus_s + test_s)
    level_v = _fit(free_v, y_farad / (plus_s + minus_s)).level_v
    if abs(level_v[1] / (level_v[1] - level_v[0]) - plus_s / (plus_s + minus_s)) > FREE_AGREES:
        return _undecided("the poles without the test resistor do not agree with those with it")
    meter_s = 1.0 / meter_ohm
    return Insulation(float(plus_s - meter_s), float(minus_s - meter_s), float(y_farad), tau_s >= TAU_MIN_S)


def _undecided(why: str) -> Insulation:
    nan = float("nan")
    return Insulation(nan, nan, nan, False, why)


def _unusable(tau_s: float, at_minus: _Fit, at_plus: _Fit, blocks: int) -> str:
    """Why the fits say nothing, empty if they do."""
    levels_v = np.array([at_minus.level_v, at_plus.level_v])
    if not (levels_v[:, 0] > 0.0).all() or not (levels_v[:, 1] < 0.0).all():
        return "the poles do not lie on both sides of the chassis"
    pack_v = float(np.mean(levels_v[:, 0] - levels_v[:, 1]))
    if np.sqrt((at_minus.residual + at_plus.residual) / (4 * blocks)) > RESIDUAL_MAX * pack_v:
        return "the poles do not settle on an exponential; something moves them"
    if blocks * BLOCK_S < TAUS_MIN * tau_s:
        return f"not settled: the time constant is {tau_s:.2g} s"
    if levels_v[0, 0] - levels_v[1, 0] < SWING_MIN * pack_v:
        return "the test resistor does not move the poles"
    return ""


def _blocks(poles: Poles, sample_rate_hz: float) -> F64:
    """(2, blocks) means of whole blocks."""
    size = round(BLOCK_S * sample_rate_hz)
    count = len(poles.plus_v) // size
    means: F64 = np.array([volts[: count * size].reshape(count, size).mean(axis=1) for volts in poles])
    return means


def _common_tau(*parts: F64) -> float:
    """The time constant that leaves least of all parts: a search over ever finer logarithmic grids."""
    low_s, high_s = TAU_MIN_S / 4, 4 * BLOCK_S * max(part.shape[1] for part in parts)
    tau_s = np.empty(0)
    best = 0
    for _ in range(_ZOOMS):
        tau_s = np.geomspace(low_s, high_s, _GRID)
        best = int(np.argmin(sum(_residuals(part, tau_s) for part in parts)))
        low_s, high_s = tau_s[max(best - 1, 0)], tau_s[min(best + 1, _GRID - 1)]
    return float(tau_s[best])


def _residuals(part_v: F64, tau_s: F64) -> F64:
    """(len(tau_s),) sums of squares that level and exponential leave of (2, blocks)."""
    shape = np.exp(-BLOCK_S * np.arange(part_v.shape[1]) / tau_s[:, None])
    shape -= shape.mean(axis=1, keepdims=True)
    deviation_v = part_v - part_v.mean(axis=1, keepdims=True)
    explained = (shape @ deviation_v.T) ** 2 / (shape**2).sum(axis=1, keepdims=True)
    left: F64 = (deviation_v**2).sum() - explained.sum(axis=1)
    return left


def _fit(part_v: F64, tau_s: float) -> _Fit:
    shape = np.exp(-BLOCK_S * np.arange(part_v.shape[1]) / tau_s)
    centred = shape - shape.mean()
    amplitude_v = part_v @ centred / (centred @ centred)
    level_v: F64 = part_v.mean(axis=1) - amplitude_v * shape.mean()
    left_v = part_v - level_v[:, None] - amplitude_v[:, None] * shape
    return _Fit(level_v, float((left_v**2).sum()))
