"""Obvious twin of the leak analysis: air that is let out step by step, and two means of what is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

GAS_J_PER_MOL_K = 8.314462618
STANDARD_PA = 101_325.0
KELVIN = 273.15
STEP_S = 0.01


def leaking(
    volume_m3: float,
    leak_m3_per_s: float,
    test_pa: float,
    length_s: float,
    every_s: float,
    warmer_k: float = 0.0,
    atmosphere_pa_per_s: float = 0.0,
) -> tuple[F64, F64, F64, F64]:
    """Time, gauge pressure, temperature in degC and atmosphere, by Euler steps of the amount of air.

    The leak lets out so many standard cubic metres a second under `test_pa`, in proportion to the pressure. The air
    begins `warmer_k` too warm and cools with 5 s.
    """
    wall_k, atmosphere_pa = 296.15, 100e3
    moles = (atmosphere_pa + test_pa) * volume_m3 / (GAS_J_PER_MOL_K * (wall_k + warmer_k))
    each = round(every_s / STEP_S)
    rows = []
    for step in range(round(length_s / STEP_S) + 1):
        time_s = step * STEP_S
        kelvin = wall_k + warmer_k * np.exp(-time_s / 5.0)
        outside_pa = atmosphere_pa + atmosphere_pa_per_s * time_s
        gauge_pa = moles * GAS_J_PER_MOL_K * kelvin / volume_m3 - outside_pa
        if step % each == 0:
            rows.append((time_s, gauge_pa, kelvin - KELVIN, outside_pa))
        out_m3_per_s = leak_m3_per_s * gauge_pa / abs(test_pa)
        moles -= STEP_S * STANDARD_PA * out_m3_per_s / (GAS_J_PER_MOL_K * kelvin)
    time, gauge, celsius, outside = np.array(rows).T
    return time, gauge, celsius, outside


def leak_of_thirds(course: tuple[F64, F64, F64, F64], volume_m3: float, settle_s: float, test_pa: float) -> float:
    """Standard m3/s at test pressure: air in the first and the last third of the tail, over time and mean pressure."""
    time_s, gauge_pa, celsius, outside_pa = (values[course[0] >= settle_s] for values in course)
    moles = (gauge_pa + outside_pa) * volume_m3 / (GAS_J_PER_MOL_K * (celsius + KELVIN))
    third = len(time_s) // 3
    lost = float(np.mean(moles[:third]) - np.mean(moles[-third:]))
    took_s = float(np.mean(time_s[-third:]) - np.mean(time_s[:third]))
    per_mole_m3 = GAS_J_PER_MOL_K * float(np.mean(celsius) + KELVIN) / STANDARD_PA
    return lost / took_s * per_mole_m3 * abs(test_pa) / float(np.mean(gauge_pa))
