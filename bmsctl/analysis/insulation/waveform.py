"""Many recorded transients at once: level, amplitude and time constant of each, from int16 counts.

    y(t) = level + amplitude exp(-t / tau)

The counts are summed in blocks, the only pass over them. The mean of a block of an exponential is an exponential too,
so level and amplitude follow from any tau by linear least squares, and only tau is searched for (variable
projection), by Gauss-Newton steps.

Source: G. Golub and V. Pereyra, Separable nonlinear least squares: the variable projection method (2003).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.compiled import kernel, parallel_kernel, prange
from bmsctl.analysis.insulation.blocks import F64

BLOCK = 32
"""Samples in a block: as many as the processor adds at once."""
STEPS_MAX = 30
DONE = 1e-9
"""Relative change of tau that ends the search."""
LEVEL, AMPLITUDE, TAU, LEVEL_SD, AMPLITUDE_SD, TAU_SD, RMS = 0, 1, 2, 3, 4, 5, 6


class Transients(NamedTuple):
    """(waveforms,) each: volts, seconds, and standard deviations by the noise; `rms_v`: what the fit leaves of blocks.

    All NaN where there is no exponential to be found: too few samples, no decay, no noise of which to tell.
    """

    level_v: F64
    amplitude_v: F64
    tau_s: F64
    level_sd_v: F64
    amplitude_sd_v: F64
    tau_sd_s: F64
    rms_v: F64


def fit_transients(counts: NDArray[np.int16], scale_v: float, sample_rate_hz: float) -> Transients:
    """Fit each waveform by itself; any number of threads gives the same bits.

    Args:
        counts: (waveforms, n) int16, contiguous or not, from the beginning of the transient on; samples after the
            last whole block of `BLOCK` are not used.
        scale_v: volts per count.
        sample_rate_hz: samples per second.
    """
    found = np.empty((len(counts), 7))
    transients_kernel(np.ascontiguousarray(counts, np.int16), found)
    dt = 1.0 / sample_rate_hz
    units = np.array([scale_v, scale_v, dt, scale_v, scale_v, dt, scale_v])
    return Transients(*(found * units).T)


@parallel_kernel
def transients_kernel(counts, found):  # type: ignore[no-untyped-def]
    """(waveforms, n) counts to (waveforms, 7) level, amplitude, tau in samples, their sds, rms; in counts."""
    blocks = counts.shape[1] // BLOCK
    for waveform in prange(len(counts)):
        means = np.empty(blocks)
        block_means_of(counts[waveform], means)
        found[waveform] = exponential_fit(means)


@kernel
def block_means_of(counts, means):  # type: ignore[no-untyped-def]
    """Means of blocks of `BLOCK` counts."""
    for block in range(len(means)):
        begin = block * BLOCK
        total = np.int32(0)
        for i in range(BLOCK):
            total += np.int32(counts[begin + i])
        means[block] = total / BLOCK


@kernel
def projected(means, rate):  # type: ignore[no-untyped-def]
    """Level, amplitude, squares left, and moments for the rate's step, of an exponential falling by `rate` a block."""
    n = len(means)
    ratio = np.exp(-rate)
    shape, offset = 1.0, means[0]
    e = ee = y = ye = yy = 0.0
    d = de = dd = dy = 0.0
    for block in range(n):
        value, slope = means[block] - offset, -block * shape
        e, ee, y, ye, yy = e + shape, ee + shape * shape, y + value, ye + value * shape, yy + value * value
        d, de, dd, dy = d + slope, de + slope * shape, dd + slope * slope, dy + slope * value
        shape *= ratio
    spread, across = ee - e * e / n, ye - y * e / n
    amplitude = across / spread
    level = (y - amplitude * e) / n
    left = yy - y * y / n - amplitude * across
    # The slope of the exponential by its rate, less what level and amplitude could follow of it.
    share = (de - d * e / n) / spread
    free = dd - d * d / n - share * (de - d * e / n)
    toward = dy - d * y / n - amplitude * (de - d * e / n)
    return level + offset, amplitude, left, share, free, toward, spread, e, d


@kernel
def exponential_fit(means):  # type: ignore[no-untyped-def]
    """(7,) level, amplitude, tau in samples, their standard deviations, rms left; NaN if there is none."""
    out = np.full(7, np.nan)
    n = len(means)
    if n < 5:
        return out
    rate = start_rate(means)
    level, amplitude, left, share, free, toward, spread, e, d = projected(means, rate)
    for _ in range(STEPS_MAX):
        step = toward / (amplitude * free)
        step = min(max(step, -0.5 * rate), rate)
        if not abs(step) < np.inf:
            return out
        tried = projected(means, rate + step)
        halvings = 0
        while not tried[2] <= left * (1.0 + 1e-12) and halvings < 20:
            step *= 0.5
            halvings += 1
            tried = projected(means, rate + step)
        rate += step
        level, amplitude, left, share, free, toward, spread, e, d = tried
        if abs(step) < DONE * rate:
            break
    variance = max(left, 0.0) / (n - 3)
    rate_sd = np.sqrt(variance / (amplitude * amplitude * free))
    if not (rate > 0.0 and rate_sd < rate):
        return out
    # The mean of a block is the exponential at its first sample, times a factor that depends on the rate.
    per_sample = rate / BLOCK
    factor = -np.expm1(-rate) / (BLOCK * -np.expm1(-per_sample))
    out[LEVEL], out[AMPLITUDE], out[TAU] = level, amplitude / factor, 1.0 / per_sample
    amplitude_rate = -amplitude * share
    log_factor_rate = np.exp(-rate) / -np.expm1(-rate) - np.exp(-per_sample) / (BLOCK * -np.expm1(-per_sample))
    first = amplitude_rate - amplitude * log_factor_rate
    out[AMPLITUDE_SD] = np.sqrt(variance / spread + (first * rate_sd) ** 2) / factor
    level_rate = -(amplitude * d + amplitude_rate * e) / n
    out[LEVEL_SD] = np.sqrt(variance * (1.0 / n + (e / n) ** 2 / spread) + (level_rate * rate_sd) ** 2)
    out[TAU_SD] = rate_sd / (rate * per_sample)
    out[RMS] = np.sqrt(variance)
    return out


@kernel
def start_rate(means):  # type: ignore[no-untyped-def]
    """Rate a block of an exponential from the sums of three thirds: their differences fall by it."""
    third = len(means) // 3
    first = middle = last = 0.0
    for block in range(third):
        first += means[block]
        middle += means[block + third]
        last += means[block + 2 * third]
    ratio = (middle - last) / (first - middle)
    if not ratio > 1e-6:
        ratio = 1e-6
    return -np.log(min(ratio, 0.999)) / third
