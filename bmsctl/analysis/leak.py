"""Leak rate of a volume from the decay of its pressure: a balance of the air in it.

What is in the volume, n = P_abs T0 / T, falls only by what leaks, whatever temperature and atmosphere do. A leak lets
through in proportion to the gauge pressure, so n is a straight line over the dose

    x(t) = integral of p(t) / p_test dt,

time as it would have passed under the test pressure. Its slope gives the leak rate at test pressure, however far the
pressure has fallen meanwhile:

    Q = -V / P_std * dn/dx

in cm3/min at 101 325 Pa and the temperature of the air, positive out of a volume under pressure and into one under
vacuum. What the walls still give way while the slope is taken counts as leaking.

A leak so large that the pressure has left its tolerance before then is bounded: the pressure needed so long to fall by
half, and at test pressure the leak lets through more than below it.

Source: ideal gas law; EN 1779 and EN 13184, pressure change method. Reference: tests/reference/leak.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bmsctl.domain.ports import PressureDecay

F64 = NDArray[np.float64]

STANDARD_PA = 101_325.0
KELVIN = 273.15
MINUTE_S = 60.0

SAMPLES_MIN = 20
RESIDUAL_MAX_PA = 5.0
"""A transducer and a thermometer together leave less than 1 Pa, one sample; more is a shock, a hand, a door."""
FILLED_MIN_PA = 10.0
"""Less is not told from a transducer's zero; how fast it falls says nothing."""
HALF = 0.5


class LeakRate(NamedTuple):
    """Leak rate at test pressure. `at_least`: it is a lower bound.

    `residual_pa`: root mean square that the line leaves of the absolute pressure; NaN for a bound. `undecided`: why
    there is no answer, and the rate is NaN; empty if there is one.
    """

    cm3_per_min: float
    residual_pa: float
    at_least: bool = False
    undecided: str = ""


class _Balance(NamedTuple):
    """(n,) each: time, dose, and pressure at one temperature with the sign that makes a leak a loss."""

    time_s: F64
    dose_s: F64
    content_pa: F64


def leak_rate(
    decay: PressureDecay, volume_cm3: float, settle_s: float, test_pa: float, tolerance_pa: float
) -> LeakRate:
    """Leak rate by least squares over the samples after `settle_s`.

    Args:
        decay: (n,) samples each, from the end of filling on.
        volume_cm3: what holds the air, hoses included.
        settle_s: from the end of filling until the line is fitted.
        test_pa: gauge pressure that the rate refers to; negative for vacuum.
        tolerance_pa: how far the pressure may lie from it when the fit begins.

    Returns:
        The rate, a lower bound of it, or why there is neither.
    """
    course = np.array((decay.time_s, decay.pressure_pa, decay.temperature_c, decay.atmosphere_pa))
    if not np.isfinite(course).all():
        return _undecided("the samples hold no numbers")
    time_s, gauge_pa = course[:2]
    tail = time_s >= settle_s
    if np.count_nonzero(tail) < SAMPLES_MIN:
        return _undecided(f"{np.count_nonzero(tail)} samples after settling are too few")
    balance = _balance(course, test_pa)
    of_test_pa = gauge_pa * np.sign(test_pa)
    begins_pa = float(of_test_pa[tail][0])
    if begins_pa > abs(test_pa) + tolerance_pa:
        return _undecided(f"the pressure is {begins_pa - abs(test_pa):.0f} Pa beyond the test pressure")
    if begins_pa < abs(test_pa) - tolerance_pa:
        return _bound(balance, of_test_pa, volume_cm3)
    dose_s, content_pa = balance.dose_s[tail], balance.content_pa[tail]
    slope, level_pa = np.polyfit(dose_s, content_pa, 1)
    left_pa = content_pa - level_pa - slope * dose_s
    if np.max(np.abs(left_pa)) > RESIDUAL_MAX_PA:
        return _undecided(f"the pressure jumps by {np.max(np.abs(left_pa)):.1f} Pa; something moves it")
    return LeakRate(_standard(-float(slope), volume_cm3), float(np.sqrt(np.mean(left_pa**2))))


def _balance(course: F64, test_pa: float) -> _Balance:
    """Of (4, n) samples."""
    time_s, gauge_pa, temperature_c, atmosphere_pa = course
    kelvin = temperature_c + KELVIN
    share = gauge_pa / test_pa
    steps_s = np.diff(time_s) * (share[1:] + share[:-1]) / 2.0
    dose_s = np.concatenate(([0.0], np.cumsum(steps_s)))
    return _Balance(time_s, dose_s, np.sign(test_pa) * (gauge_pa + atmosphere_pa) * kelvin.mean() / kelvin)


def _bound(balance: _Balance, of_test_pa: F64, volume_cm3: float) -> LeakRate:
    """From the first sample until the pressure has fallen by half, or to the end."""
    if of_test_pa[0] < FILLED_MIN_PA:
        return _undecided("the volume was never filled")
    fallen = np.flatnonzero(of_test_pa < HALF * of_test_pa[0])
    last = int(fallen[0]) if len(fallen) else len(of_test_pa) - 1
    lost_pa = float(balance.content_pa[0] - balance.content_pa[last])
    per_second_pa = lost_pa / float(balance.time_s[last] - balance.time_s[0])
    return LeakRate(_standard(per_second_pa, volume_cm3), float("nan"), at_least=True)


def _standard(per_second_pa: float, volume_cm3: float) -> float:
    """Standard cm3/min of a loss of pressure."""
    return volume_cm3 * per_second_pa / STANDARD_PA * MINUTE_S


def _undecided(why: str) -> LeakRate:
    return LeakRate(float("nan"), float("nan"), undecided=why)
