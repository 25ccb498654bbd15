"""Two recorded voltages reduced to means of short blocks: the only pass over the samples.

A block is so short that the mains' hum is still seen, and so long that a whole record is a few thousand numbers. No
block touches the time just after a change of the resistor, when contacts bounce and filters ring.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.compiled import kernel
from bmsctl.errors import BmsctlError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

BLOCK_S = 1e-3
BLANKING_S = 2e-3
"""After each change: contact bounce, and what is left of the front end's low pass."""
STEP_SAMPLES = 4000
"""So many samples show the resolution of a converter."""
STATES = (0, 1, 2)
"""Test resistor nowhere, at the minus pole, at the plus pole."""


class ScheduleError(BmsctlError):
    """Voltages and switching times that do not belong together; the text names what, and what to do."""


class Segments(NamedTuple):
    """Spans of a record with the test resistor at one place, (m,) each.

    `begin_s`: from sample 0, `state`: one of STATES, `lead_s`: from the beginning to the segment's first block,
    `first`: number of that block; the segment's blocks end where the next's begin, and `first` has one entry more.
    """

    begin_s: F64
    state: I64
    lead_s: F64
    first: I64


class Grid(NamedTuple):
    """Where the blocks of a record lie: `size` samples each, the first of them at sample `start`, (blocks,)."""

    sample_s: float
    size: int
    start: I64
    segments: Segments

    @property
    def centre_s(self) -> F64:
        """(blocks,) middle of each block, seconds from sample 0."""
        return np.asarray((self.start + (self.size - 1) / 2) * self.sample_s, np.float64)

    @property
    def end_s(self) -> F64:
        """(blocks,) when each block's last sample is over, seconds from sample 0."""
        return np.asarray((self.start + self.size) * self.sample_s, np.float64)


class Blocks(NamedTuple):
    """Means of both voltages, (blocks,) volts each, and what a mean is uncertain by.

    `sum_v`: pack voltage, plus pole and minus pole together. `difference_v`: minus pole to chassis less plus pole to
    chassis. `rough_v2`: (blocks,) half the mean square of successive differences of the samples' sums: their variance.
    `step_v`: the smallest step between samples, which is the resolution of the converter; 0 if there is none.
    """

    sum_v: F64
    difference_v: F64
    rough_v2: F64
    step_v: float


def block_grid(samples: int, sample_rate_hz: float, switch_time_s: F64, switch_state: I64) -> Grid:
    """Where blocks fit between the changes of the test resistor.

    Args:
        samples: number of samples of the record.
        sample_rate_hz: samples per second.
        switch_time_s: (m,) seconds from sample 0, rising, the first 0.
        switch_state: (m,) one of STATES from that time on.

    Raises:
        ScheduleError: lengths, order, a rate or a state that cannot be.
    """
    if not (np.isfinite(sample_rate_hz) and sample_rate_hz > 0.0):
        raise ScheduleError(f"sample_rate_hz is {sample_rate_hz:g}; it must be above 0")
    begin_s = np.ascontiguousarray(switch_time_s, np.float64)
    state = np.ascontiguousarray(switch_state, np.int64)
    if begin_s.ndim != 1 or begin_s.shape != state.shape or not len(begin_s):
        raise ScheduleError("switch_time_s and switch_state must be two lists of the same length, at least 1")
    if not begin_s[0] == 0.0 or not (np.diff(begin_s) > 0.0).all() or not np.isfinite(begin_s).all():
        raise ScheduleError("switch_time_s must begin with 0 and rise; sort it and give each change once")
    if not np.isin(state, STATES).all():
        raise ScheduleError("switch_state must be 0 (no resistor), 1 (at minus) or 2 (at plus)")
    recorded = begin_s * sample_rate_hz < samples
    begin_s, state = begin_s[recorded], state[recorded]
    size = max(1, round(BLOCK_S * sample_rate_hz))
    first_sample = np.ceil((begin_s + BLANKING_S) * sample_rate_hz - 1e-6).astype(np.int64)
    behind = np.append(np.floor(begin_s[1:] * sample_rate_hz + 1e-6).astype(np.int64), samples)
    count = np.maximum(behind - first_sample, 0) // size
    first = np.concatenate(([0], np.cumsum(count)))
    within = np.arange(first[-1]) - np.repeat(first[:-1], count)
    start = np.repeat(first_sample, count) + within * size
    lead_s = first_sample / sample_rate_hz - begin_s
    return Grid(1.0 / sample_rate_hz, size, start, Segments(begin_s, state, lead_s, first))


def block_means(v_pos: NDArray[np.generic], v_neg: NDArray[np.generic], scale_v: float, grid: Grid) -> Blocks:
    """Means of the blocks of both voltages.

    Args:
        v_pos: (n,) plus pole to chassis, int16 counts or floats, contiguous or not; a NaN makes its block NaN.
        v_neg: (n,) chassis to minus pole, as a magnitude likewise.
        scale_v: volts per count.
        grid: of a record of n samples.
    """
    wanted = np.dtype(np.int16) if v_pos.dtype == v_neg.dtype == np.int16 else np.dtype(np.float64)
    pos, neg = (np.ascontiguousarray(volts, wanted) for volts in (v_pos, v_neg))
    means = np.empty((3, len(grid.start)))
    block_sums(pos, neg, grid.start, grid.size, means[0], means[1], means[2])
    step = smallest_step(pos[:STEP_SAMPLES], neg[:STEP_SAMPLES])
    return Blocks(scale_v * means[0], scale_v * means[1], scale_v * scale_v * means[2], abs(scale_v) * step)


@kernel
def block_sums(pos, neg, start, size, sums, differences, rough):  # type: ignore[no-untyped-def]
    """Of each block: means of neg + pos and of neg - pos, half the mean square of the sum's successive differences."""
    for block in range(len(start)):
        begin = start[block]
        plus = minus = 0.0 * pos[begin]
        squares = 0.0
        for i in range(begin, begin + size):
            plus += pos[i]
            minus += neg[i]
        for i in range(begin + 1, begin + size):
            change = (float(pos[i]) - pos[i - 1]) + (float(neg[i]) - neg[i - 1])
            squares += change * change
        sums[block] = (minus + plus) / size
        differences[block] = (minus - plus) / size
        rough[block] = squares / (2.0 * max(1, size - 1))


@kernel
def smallest_step(pos, neg):  # type: ignore[no-untyped-def]
    """The smallest change from one sample to the next; 0 if nothing changes, or no two samples are alike."""
    smallest, still = np.inf, 0
    for i in range(1, len(pos)):
        for change in (abs(float(pos[i]) - pos[i - 1]), abs(float(neg[i]) - neg[i - 1])):
            if change == 0.0:
                still += 1
            elif change < smallest:
                smallest = change
    return smallest if still > 0 and smallest < np.inf else 0.0
