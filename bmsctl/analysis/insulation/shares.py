"""From the means of both voltages to the share of the pack voltage at the minus pole, and its noise."""

from __future__ import annotations

from bmsctl.analysis.compiled import kernel

STEADY = 2e-4
"""Of the pack voltage: how much it may scatter beside its noise."""
DRIFT_SD, UNLIKE_SD = 1e-3, 3e-3
"""Shares of the pack voltage: its drift a second, and the difference of the voltmeters' gains."""


@kernel
def shares(means, size, centre_s, blocks, y):  # type: ignore[no-untyped-def]
    """Put the share at the minus pole of the first blocks of `means` into `y`; variance, and scatter of the voltage.

    The pack voltage is a straight line through the sums. What is in them of the difference, because the voltmeters'
    gains differ, is told apart first, or it would bend the line. Noise of the difference is that of the sum, which
    nothing else moves: by the scatter of samples or of blocks, whichever is larger. Converters that their own noise
    does not move from step to step are off by the same in all samples of a block.
    """
    sum_v, difference_v, rough_v2, step_v = means
    volts = spread = 0.0
    for block in range(blocks):
        volts += sum_v[block] / blocks
        spread += rough_v2[block] / blocks
    variance = spread / size
    changes = 0.0
    for block in range(1, blocks):
        changes += (sum_v[block] - sum_v[block - 1]) ** 2
    scatter = changes / (2.0 * max(1, blocks - 1))
    if scatter < (STEADY * volts) ** 2:
        variance = max(variance, scatter)
    if spread < 0.5 * step_v * step_v:
        variance += step_v * step_v / 6.0
    time_s = difference = 0.0
    for block in range(blocks):
        time_s += centre_s[block] / blocks
        difference += difference_v[block] / blocks
    tt, td, dd = variance / (DRIFT_SD * volts) ** 2, 0.0, variance / UNLIKE_SD**2
    ts = ds = 0.0
    for block in range(blocks):
        t, d, s = centre_s[block] - time_s, difference_v[block] - difference, sum_v[block] - volts
        tt, td, dd, ts, ds = tt + t * t, td + t * d, dd + d * d, ts + t * s, ds + d * s
    determinant = tt * dd - td * td
    drift, unlike = (ts * dd - ds * td) / determinant, (ds * tt - ts * td) / determinant
    left = 0.0
    for block in range(blocks):
        t, d = centre_s[block] - time_s, difference_v[block] - difference
        left += (sum_v[block] - volts - drift * t - unlike * d) ** 2
        y[block] = 0.5 + 0.5 * difference_v[block] / (volts + drift * t)
    return variance / (4.0 * volts * volts), left / blocks / (variance + (STEADY * volts) ** 2)
