"""Resistance of cells from a current pulse: the ohmic part and the part that diffusion adds with the root of time.

After a step of the current by I the voltage leaves its rest value as

    V(t) = V_rest - I (R + k sqrt(t))

while the pulse is short against the cell's diffusion time. The line in sqrt(t) is fitted in closed form by least
squares; a resistance "after 10 s" is R + k sqrt(10 s), an estimate from all samples instead of from one.

Source: the Warburg element's response to a current step. Reference: tests/reference/pulse.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmsctl.analysis.compiled import kernel
from bmsctl.errors import BmsctlError

F64 = NDArray[np.float64]

LANES = 256
PARAMETERS = 2


class PulseError(BmsctlError):
    """The arrays do not belong together."""


class PulseFit(NamedTuple):
    """(pulses,) each: R in ohms, k in Ohm/sqrt(s), their standard errors, and the root mean square left in volts.

    All are NaN for a pulse that cannot be told: a sample in use or the current is no number, the current is zero,
    fewer than two samples at different times. The standard errors and what is left need a third sample.
    """

    ohmic_ohm: F64
    diffusion_ohm_per_root_s: F64
    ohmic_error_ohm: F64
    diffusion_error_ohm_per_root_s: F64
    left_v: F64

    def after(self, time_s: float) -> F64:
        """(pulses,) ohms at a time into the pulse."""
        total: F64 = self.ohmic_ohm + self.diffusion_ohm_per_root_s * math.sqrt(time_s)
        return total


def fit_pulses(
    time_s: ArrayLike, voltage_v: ArrayLike, rest_v: ArrayLike, current_a: ArrayLike, skip_s: float = 0.0
) -> PulseFit:
    """Fit each pulse of a batch.

    Args:
        time_s: (pulses, n) time since the step of the current, in any order.
        voltage_v: (pulses, n) volts, each pulse on its own times. Need not be contiguous.
        rest_v: (pulses,) voltage before the step.
        current_a: (pulses,) step of the current, positive when it discharges.
        skip_s: samples before are not used, whatever they hold: contacts bounce and clocks of two devices differ.

    Raises:
        PulseError: the shapes do not fit, or `skip_s` is negative or no number.
    """
    times, volts = (np.ascontiguousarray(values, np.float64) for values in (time_s, voltage_v))
    rests, currents = (np.ascontiguousarray(values, np.float64) for values in (rest_v, current_a))
    if times.ndim != 2 or times.shape != volts.shape or not len(times) == rests.size == currents.size:
        raise PulseError("give times and voltages as (pulses, n), rest voltages and currents as (pulses,)")
    if not 0.0 <= skip_s < math.inf:
        raise PulseError(f"{skip_s} s cannot be skipped; give 0 or more")
    result = np.empty((len(PulseFit._fields), len(times)))
    root_time_fits(times, volts, rests, currents, skip_s, result)
    return PulseFit(*result)


@kernel
def root_time_fits(time_s: F64, voltage_v: F64, rest_v: F64, current_a: F64, skip_s: float, result: F64) -> None:
    """Write the fields of PulseFit, (5, pulses), for pulses as in `fit_pulses`, contiguous.

    Sums run in fixed lanes that are folded by halves, so that their order is the same on every processor.
    """
    n = time_s.shape[1]
    lanes = np.empty((6, LANES))
    sums = np.empty(6)
    for pulse in range(len(time_s)):
        lanes[:] = 0.0
        whole = n - n % LANES
        for start in range(0, whole, LANES):
            stop = start + LANES
            _add(time_s[pulse, start:stop], voltage_v[pulse, start:stop], rest_v[pulse], skip_s, LANES, lanes)
        _add(time_s[pulse, whole:], voltage_v[pulse, whole:], rest_v[pulse], skip_s, n - whole, lanes)
        width = LANES // 2
        while width > 0:
            for row in range(6):
                for lane in range(width):
                    lanes[row, lane] += lanes[row, lane + width]
            width //= 2
        sums[:] = lanes[:, 0]
        _solve(sums, current_a[pulse], result[:, pulse])


@kernel
def _add(time_s: F64, voltage_v: F64, rest_v: float, skip_s: float, count: int, lanes: F64) -> None:
    """Add `count` samples to the lanes: of 1, x, x x, y, x y, y y with x = sqrt(t), y the fall of the voltage."""
    for lane in range(count):
        at_s = time_s[lane]
        nothing = 0.0 * at_s
        used = at_s >= skip_s
        root = math.sqrt(at_s) if used else nothing
        fall_v = rest_v - voltage_v[lane] if used else nothing
        lanes[0, lane] += 1.0 if used else nothing
        lanes[1, lane] += root
        lanes[2, lane] += root * root
        lanes[3, lane] += fall_v
        lanes[4, lane] += root * fall_v
        lanes[5, lane] += fall_v * fall_v


@kernel
def _solve(sums: F64, current_a: float, result: F64) -> None:
    """The normal equations on centred sums."""
    count, x, xx, y, xy, yy = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    xx -= x * x / count
    xy -= x * y / count
    yy -= y * y / count
    result[:] = math.nan
    finite = math.isfinite(xx) and math.isfinite(yy) and math.isfinite(current_a)
    if not finite or count < PARAMETERS or not xx > 0.0 or current_a == 0.0:
        return
    slope_v = xy / xx
    result[0] = (y - slope_v * x) / count / current_a
    result[1] = slope_v / current_a
    if count > PARAMETERS:
        variance_v2 = max(yy - slope_v * xy, 0.0) / (count - PARAMETERS)
        result[2] = math.sqrt(variance_v2 * (1.0 / count + x * x / (count * count * xx))) / abs(current_a)
        result[3] = math.sqrt(variance_v2 / xx) / abs(current_a)
        result[4] = math.sqrt(variance_v2)


def warm_up() -> None:
    """Compile the kernel into the cache."""
    fit_pulses([[1.0, 4.0]], [[3.0, 2.0]], [4.0], [1.0])
