"""Moments of many series at once, whose values come mixed in one stream, each with the number of its key.

The values are first sorted by key, with two passes of a counting sort that keeps their order, and then each series is
read where it lies together, twice: for its mean, and for the squares about it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmsctl.analysis.compiled import kernel, parallel_kernel, prange
from bmsctl.errors import BmsctlError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

CHUNKS = 16
LANES = 64
N, MISSING, MEAN, SD, MOVING_RANGE, LOWEST, HIGHEST, OUTSIDE = range(8)
SUM, KNOWN, RANGES, PAIRS, BEYOND, SQUARES, DRIFT = range(7)


class KeysError(BmsctlError):
    """Keys, values and limits do not belong together."""


class KeyMoments(NamedTuple):
    """(keys,) each, as in `moments.Moments`; `outside`: how many values are beyond a limit."""

    n: I64
    missing: I64
    mean: F64
    sd_overall: F64
    moving_range: F64
    minimum: F64
    maximum: F64
    outside: I64


def moments_by_key(keys: ArrayLike, values: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> KeyMoments:
    """Moments of each key's values, in the order they come.

    Args:
        keys: (n,) whole numbers from 0, in any order; a key may have no values.
        values: (n,); NaN and infinity are missing. Need not be contiguous; empty is allowed.
        lower: (keys,) limits of the specification, NaN for none.
        upper: (keys,) the same above.

    Returns:
        Figures as `moments.moments` gives them, NaN where a key has too few values. The same bits with any number of
        threads.

    Raises:
        KeysError: the shapes do not fit, or a key is not below the number of limits.
    """
    of_key = np.ascontiguousarray(keys, np.int64)
    series = np.ascontiguousarray(values, np.float64)
    low, high = (np.ascontiguousarray(limit, np.float64) for limit in (lower, upper))
    if of_key.ndim != 1 or of_key.shape != series.shape or low.ndim != 1 or low.shape != high.shape:
        raise KeysError("give keys and values as (n,), both limits as (keys,)")
    starts = np.zeros((CHUNKS, len(low)), np.int64)
    if not count_keys(of_key, starts):
        raise KeysError(f"a key is below 0 or not below {len(low)}, the number of limits; number the keys from 0")
    sizes = starts.sum(axis=0)
    begins = np.cumsum(sizes) - sizes
    starts = begins + np.cumsum(starts, axis=0) - starts
    together = np.empty_like(series)
    sort_by_key(of_key, series, starts, together)
    found = np.empty((8, len(low)))
    describe_keys(together, begins, sizes, low, high, found)
    n, missing, outside = (found[row].astype(np.int64) for row in (N, MISSING, OUTSIDE))
    return KeyMoments(n, missing, found[MEAN], found[SD], found[MOVING_RANGE], found[LOWEST], found[HIGHEST], outside)


@parallel_kernel
def count_keys(keys: I64, counts: I64) -> bool:
    """Count the keys of each chunk into (CHUNKS, keys) zeros; whether all keys are among them."""
    n, chunks = len(keys), len(counts)
    unknown = np.zeros(chunks, np.int64)
    for chunk in prange(chunks):
        for i in range(n * chunk // chunks, n * (chunk + 1) // chunks):
            key = keys[i]
            if 0 <= key < counts.shape[1]:
                counts[chunk, key] += 1
            else:
                unknown[chunk] += 1
    return bool(unknown.sum() == 0)


@parallel_kernel
def sort_by_key(keys: I64, values: F64, starts: I64, together: F64) -> None:
    """Write the values key by key; `starts`: (CHUNKS, keys) where each chunk's first value of a key goes."""
    n, chunks = len(keys), len(starts)
    for chunk in prange(chunks):
        place = starts[chunk].copy()
        for i in range(n * chunk // chunks, n * (chunk + 1) // chunks):
            key = keys[i]
            together[place[key]] = values[i]
            place[key] += 1


@parallel_kernel
def describe_keys(together: F64, begins: I64, sizes: I64, lower: F64, upper: F64, found: F64) -> None:
    """Write the figures of KeyMoments, (8, keys), of values that lie together key by key."""
    for key in prange(len(begins)):
        series = together[begins[key] : begins[key] + sizes[key]]
        _describe(series, lower[key], upper[key], found[:, key])


@kernel
def _describe(series: F64, lower: float, upper: float, found: F64) -> None:
    """Write the figures of one series; sums run in fixed lanes, so that their order never changes."""
    found[:] = math.nan
    first = math.nan
    for i in range(len(series)):
        if math.isfinite(series[i]):
            first = series[i]
            break
    lanes, extremes = np.zeros((7, LANES)), np.empty((2, LANES))
    extremes[0, :], extremes[1, :] = math.inf, -math.inf
    if len(series) > 0:
        _first_pass(series[:1], series[:1] + math.nan, first, lower, upper, lanes, extremes)
        for start in range(1, len(series), LANES):
            now = series[start : start + LANES]
            _first_pass(now, series[start - 1 : start - 1 + len(now)], first, lower, upper, lanes, extremes)
    _fold(lanes)
    n, pairs = lanes[KNOWN, 0], lanes[PAIRS, 0]
    found[N], found[MISSING], found[OUTSIDE] = n, len(series) - n, lanes[BEYOND, 0]
    if n == 0.0:
        return
    shift = lanes[SUM, 0] / n
    found[MEAN] = first + shift
    found[LOWEST], found[HIGHEST] = extremes[0].min(), extremes[1].max()
    found[MOVING_RANGE] = lanes[RANGES, 0] / pairs if pairs > 0.0 else math.nan
    if n > 1.0:
        for start in range(0, len(series), LANES):
            _second_pass(series[start : start + LANES], first, shift, lanes)
        _fold(lanes)
        square = lanes[SQUARES, 0] - lanes[DRIFT, 0] * lanes[DRIFT, 0] / n
        found[SD] = math.sqrt(max(square, 0.0) / (n - 1.0))


@kernel
def _first_pass(now: F64, before: F64, first: float, lower: float, upper: float, lanes: F64, extremes: F64) -> None:
    for lane in range(len(now)):
        value = now[lane]
        known = abs(value) < math.inf
        pair = known & (abs(before[lane]) < math.inf)
        lanes[SUM, lane] += value - first if known else 0.0
        lanes[KNOWN, lane] += 1.0 if known else 0.0
        lanes[RANGES, lane] += abs(value - before[lane]) if pair else 0.0
        lanes[PAIRS, lane] += 1.0 if pair else 0.0
        lanes[BEYOND, lane] += 1.0 if known & ((value < lower) | (value > upper)) else 0.0
        extremes[0, lane] = value if known & (value < extremes[0, lane]) else extremes[0, lane]
        extremes[1, lane] = value if known & (value > extremes[1, lane]) else extremes[1, lane]


@kernel
def _second_pass(now: F64, first: float, shift: float, lanes: F64) -> None:
    for lane in range(len(now)):
        value = now[lane]
        centred = value - first - shift if abs(value) < math.inf else 0.0
        lanes[SQUARES, lane] += centred * centred
        lanes[DRIFT, lane] += centred


@kernel
def _fold(lanes: F64) -> None:
    """Add the lanes up by halves, into the first."""
    width = lanes.shape[1] // 2
    while width > 0:
        for row in range(len(lanes)):
            for lane in range(width):
                lanes[row, lane] += lanes[row, lane + width]
        width //= 2


def warm_up() -> None:
    """Compile the kernels into the cache."""
    moments_by_key([0], [0.0], [0.0], [0.0])
