"""Obvious twin of the insulation analysis: wait until all has settled, then solve the two balances of currents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Pair = tuple[F64, F64]


def recorded(
    volts: float, siemens: list[tuple[float, float]], farad: float, lengths_s: list[float], rate_hz: float, start: float
) -> list[Pair]:
    """Plus and minus pole to chassis, one pair a state of conductances (plus, minus), by the exact step response.

    `start`: share of the voltage at the minus pole in the beginning.
    """
    parts = []
    minus_v = -start * volts
    for (plus_s, minus_s), length_s in zip(siemens, lengths_s, strict=True):
        final_v = -volts * plus_s / (plus_s + minus_s)
        time_s = np.arange(round(length_s * rate_hz)) / rate_hz
        tau_s = farad / (plus_s + minus_s)
        course_v = final_v + (minus_v - final_v) * np.exp(-time_s / tau_s)
        parts.append((course_v + volts, course_v))
        minus_v = final_v + (minus_v - final_v) * np.exp(-length_s / tau_s)
    return parts


def settled_insulation(
    at_minus: Pair, at_plus: Pair, rate_hz: float, test_ohm: float, meter_ohm: float
) -> tuple[float, float, float]:
    """Conductances of plus and minus without the meters', and the capacitance by the time to 1/e of the way left."""
    plus_1, minus_1 = (float(np.mean(volts[-len(volts) // 10 :])) for volts in at_minus)
    plus_2, minus_2 = (float(np.mean(volts[-len(volts) // 10 :])) for volts in at_plus)
    balance = np.array([[plus_1, minus_1], [plus_2, minus_2]])
    plus_s, minus_s = np.linalg.solve(balance, [-minus_1 / test_ohm, -plus_2 / test_ohm])
    left_v = np.abs(at_plus[1] - minus_2)
    tau_s = int(np.argmax(left_v < left_v[0] / np.e)) / rate_hz
    farad = tau_s * (plus_s + minus_s + 1.0 / test_ohm)
    return float(plus_s - 1.0 / meter_ohm), float(minus_s - 1.0 / meter_ohm), float(farad)
