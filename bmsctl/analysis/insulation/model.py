"""Where the chassis lies between the poles, exactly, and how that depends on each quantity asked for.

With z the share of the pack voltage at the minus pole, G0 = 1/R0 the test resistor's conductance, and conductances
in units of it, the balance of currents at the chassis is

    dz/dt = k [(1 - z) a - z b],    a = gp + gv + [R0 at plus],    b = gn + gv + [R0 at minus],    k = G0 / C

so between two changes z goes to a / (a + b) with the rate k (a + b). The mean of a block of samples of an exponential
is again an exponential, known exactly, and the sensitivities to all quantities follow from block to block by the same
recursion. A change that comes later than stated, and a low-pass filter, which does the same to a slow signal, move the
end of one segment and the beginning of the next. The mains' hum is added as sine and cosine with linear drift.

Source: the circuit; Gauss-Newton normal equations as in Nocedal and Wright, Numerical Optimization, chapter 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.insulation.blocks import F64

Z0, GP, GN, LN_K, DELAY, HUM = 0, 1, 2, 3, 4, 7
"""Places of the parameters: z at the beginning, gp, gn, ln k; three delays in seconds, of the changes to each state;
sine, cosine of the hum, and both by the time from the middle."""
PARAMETERS = HUM + 4

PRIOR_SD = np.array([10.0, 1e4, 1e4, 20.0, 1e-3, 1e-3, 1e-3, 5e-3, 5e-3, 1e-2, 1e-2])
"""What is known beforehand: nothing of the circuit, that a contact and a filter are late by about a millisecond at
most, and that hum is small against the pack voltage (and drifts by no more than its frequency's tolerance)."""


class Hum(NamedTuple):
    """Phase of the mains in the middle of each block, and that middle's time from the record's, (blocks,) each."""

    sine: F64
    cosine: F64
    from_middle_s: F64


@kernel
def block_mean(rate, sample_s, size):  # type: ignore[no-untyped-def]
    """What is left of an exponential after a block and what is gone; its mean over the block, and that by the rate."""
    block_s = size * sample_s
    slow, gone = -np.expm1(-rate * sample_s), -np.expm1(-rate * block_s)
    left = np.exp(-rate * block_s)
    mean_rate = (block_s * left * slow - gone * sample_s * (1.0 - slow)) / (size * slow * slow)
    return left, gone, gone / (size * slow), mean_rate


@kernel
def relax(s, left, gone, away, span_s, level_gp, level_gn, rate_k, rate):  # type: ignore[no-untyped-def]
    """Carry sensitivities over a time that leaves `left` of an exponential, takes `gone`, and ends `away` from it."""
    for place in range(HUM):
        s[place] *= left
    s[GP] += level_gp * gone - away * span_s * rate_k
    s[GN] += level_gn * gone - away * span_s * rate_k
    s[LN_K] -= away * span_s * rate


@kernel
def add_hum(theta, hum, blocks, out, by):  # type: ignore[no-untyped-def]
    """Add the mains' hum to the means of the first blocks, and write its derivatives."""
    for block in range(blocks):
        sine, cosine, t = hum.sine[block], hum.cosine[block], hum.from_middle_s[block]
        by[HUM, block], by[HUM + 1, block] = sine, cosine
        by[HUM + 2, block], by[HUM + 3, block] = t * sine, t * cosine
        out[block] += (theta[HUM] + t * theta[HUM + 2]) * sine + (theta[HUM + 1] + t * theta[HUM + 3]) * cosine


@kernel
def model(theta, meter, grid, hum, blocks, out, by):  # type: ignore[no-untyped-def]
    """Means of the first blocks, and their derivatives.

    Args:
        theta: (PARAMETERS,) as placed above.
        meter: conductance of each voltmeter over the test resistor's.
        grid: where the blocks lie, a `blocks.Grid`.
        hum: a `Hum`, of all blocks of the grid.
        blocks: how many blocks; those after are left as they are.
        out: (>= blocks,) to write the means into, share of the pack voltage at the minus pole.
        by: (PARAMETERS, >= blocks) to write their derivatives into.
    """
    begin_s, state, lead_s, first = grid.segments
    sample_s, size = grid.sample_s, grid.size
    rate_k = np.exp(theta[LN_K])
    z = theta[Z0]
    s = np.zeros(HUM)
    s[Z0] = 1.0
    block_s = size * sample_s
    for segment in range(len(state)):
        if first[segment] >= blocks:
            break
        here = state[segment]
        a = theta[GP] + meter + (1.0 if here == 2 else 0.0)
        b = theta[GN] + meter + (1.0 if here == 1 else 0.0)
        total = a + b
        rate, level = rate_k * total, a / total
        late_s = theta[DELAY + here] if segment > 0 else 0.0
        lead = lead_s[segment] - late_s
        r = np.exp(-rate * lead)
        away = (z - level) * r
        level_gp, level_gn = b / (total * total), -a / (total * total)
        # s of the block's beginning; a later change shortens the lead
        moved = s.copy()
        relax(moved, r, 1.0 - r, away, lead, level_gp, level_gn, rate_k, rate)
        if segment > 0:
            moved[DELAY + here] += away * rate
        r, gone, mean, mean_rate = block_mean(rate, sample_s, size)
        last = min(first[segment + 1], blocks)
        for block in range(first[segment], last):
            out[block] = level + away * mean
            for p in range(HUM):
                by[p, block] = moved[p] * mean
            by[GP, block] += level_gp * (1.0 - mean) + away * mean_rate * rate_k
            by[GN, block] += level_gn * (1.0 - mean) + away * mean_rate * rate_k
            by[LN_K, block] += away * mean_rate * rate
            away *= r
            relax(moved, r, gone, away, block_s, level_gp, level_gn, rate_k, rate)
        if segment + 1 == len(state):
            break
        there = state[segment + 1]
        span = begin_s[segment + 1] + theta[DELAY + there] - begin_s[segment] - late_s
        r = np.exp(-rate * span)
        away = (z - level) * r
        z = level + away
        relax(s, r, 1.0 - r, away, span, level_gp, level_gn, rate_k, rate)
        s[DELAY + there] -= away * rate
        if segment > 0:
            s[DELAY + here] += away * rate
    add_hum(theta, hum, blocks, out, by)
