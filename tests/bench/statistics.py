"""Statistics of a fleet: ours against numpy and polars, called as their documentation says.

All arrays are float64 and in memory; the sides of a ratio take turns, and each round's ratio is told. `spc` is ten
million values of 200 keys in random order; against numpy on one thread each, against polars with all threads each.
`k_value` is a regression of 100,000 cells over ten rest voltages; `pulse` the resistance of a pack's 96 cells, each on
1000 samples of its own. `cores` is how much faster two threads are than one that share such pulses.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import polars as pl

from bmsctl.analysis.pulse import fit_pulses
from bmsctl.analysis.self_discharge.regression import k_values
from bmsctl.analysis.spc.keyed import moments_by_key

ROUNDS = 9
REPEATS = 5
VALUES, KEYS = 10_000_000, 200
CELLS, TIMES = 100_000, 10
PULSES, SAMPLES, PACKS = 96, 1000, 40


def wall_s(run: Callable[[], Any]) -> float:
    """Wall time of one call."""
    began_s = time.perf_counter()
    run()
    return time.perf_counter() - began_s


def rounds(ours: Callable[[], Any], peer: Callable[[], Any]) -> list[tuple[float, float]]:
    """Times of ours and of the peer, taken in turns, after one call of each to warm up."""
    ours()
    peer()
    return [(wall_s(ours), wall_s(peer)) for _ in range(ROUNDS)]


def compared(pairs: list[tuple[float, float]], count: int) -> dict[str, Any]:
    """Nanoseconds an item, and how many times faster ours is, by rounds and their median."""
    ratios = [peer / ours for ours, peer in pairs]
    ours_ns, peer_ns = (statistics.median(pair[side] for pair in pairs) / count * 1e9 for side in (0, 1))
    return {"ours_ns": ours_ns, "peer_ns": peer_ns, "ratios": ratios, "ratio": statistics.median(ratios)}


def numpy_spc(keys: Any, values: Any, lower: Any, upper: Any) -> tuple[Any, ...]:
    """n, mean, sd, mean moving range, least, greatest and how many are outside, by sorting and reduceat."""
    order = np.argsort(keys.astype(np.uint8), kind="stable")
    together, sizes = values[order], np.bincount(keys, minlength=KEYS)
    begins = np.cumsum(sizes) - sizes
    mean = np.add.reduceat(together, begins) / sizes
    square = together - np.repeat(mean, sizes)
    np.square(square, out=square)
    sd = np.sqrt(np.add.reduceat(square, begins) / (sizes - 1))
    ranges = np.abs(np.diff(together, append=together[-1]))
    ranges[begins[1:] - 1] = 0.0
    moving_range = np.add.reduceat(ranges, begins) / (sizes - 1)
    low, high = np.minimum.reduceat(together, begins), np.maximum.reduceat(together, begins)
    outside = np.bincount(keys[(values < lower[keys]) | (values > upper[keys])], minlength=KEYS)
    return sizes, mean, sd, moving_range, low, high, outside


def polars_spc(frame: pl.DataFrame) -> pl.DataFrame:
    """The same by a group_by; the limits are columns, so that no join is counted."""
    value = pl.col("value")
    return (
        frame.lazy()
        .group_by("key")
        .agg(
            value.len().alias("n"),
            value.mean().alias("mean"),
            value.std().alias("sd"),
            value.diff().abs().mean().alias("moving_range"),
            value.min().alias("low"),
            value.max().alias("high"),
            ((value < pl.col("lower")) | (value > pl.col("upper"))).sum().alias("outside"),
        )
        .sort("key")
        .collect()
    )


def spc() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    keys, values = rng.integers(0, KEYS, VALUES), rng.normal(3.3, 1e-4, VALUES)
    lower, upper = np.full(KEYS, 3.2997), np.full(KEYS, 3.3003)
    frame = pl.DataFrame({"key": keys.astype(np.int16), "value": values, "lower": lower[keys], "upper": upper[keys]})

    def ours() -> Any:
        return moments_by_key(keys, values, lower, upper)

    found = ours()
    found = (found.n, found.mean, found.sd_overall, found.moving_range, found.minimum, found.maximum, found.outside)
    told = polars_spc(frame)
    for mine, theirs, column in zip(found, numpy_spc(keys, values, lower, upper), told.columns[1:], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9)
        np.testing.assert_allclose(mine, told[column].to_numpy(), rtol=1e-9)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    against_numpy = rounds(ours, lambda: numpy_spc(keys, values, lower, upper))
    numba.set_num_threads(threads)
    against_polars = rounds(ours, lambda: polars_spc(frame))
    return {"numpy": compared(against_numpy, VALUES), "polars": compared(against_polars, VALUES)}


def k_value() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    time_s = np.sort(rng.uniform(0.0, 16 * 86_400.0, TIMES))
    voltage_v = 3.6 - 1e-8 * time_s + rng.normal(0.0, 1e-4, (CELLS, TIMES))

    def peer() -> tuple[Any, Any]:
        hours = time_s / 3600.0
        hours -= hours.mean()
        square = hours @ hours
        slope = voltage_v @ hours / square
        left = voltage_v - voltage_v.mean(axis=1, keepdims=True) - slope[:, None] * hours
        return -slope, np.sqrt(np.einsum("ij,ij->i", left, left) / (TIMES - 2) / square)

    for mine, theirs in zip(k_values(time_s, voltage_v), peer(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-12)
    return compared(
        rounds(lambda: [k_values(time_s, voltage_v) for _ in range(REPEATS)], lambda: [peer() for _ in range(REPEATS)]),
        CELLS * REPEATS,
    )


def pulses() -> tuple[Any, ...]:
    """Times, voltages, rest voltages and currents of a pack's cells."""
    rng = np.random.default_rng(1)
    time_s = np.sort(rng.uniform(0.0, 10.0, (PULSES, SAMPLES)), axis=1)
    rest_v, current_a = rng.uniform(3.5, 3.7, PULSES), rng.uniform(50.0, 100.0, PULSES)
    fall_v = current_a[:, None] * (1e-3 + 2e-4 * np.sqrt(time_s))
    return time_s, rest_v[:, None] - fall_v + rng.normal(0.0, 1e-4, time_s.shape), rest_v, current_a


def numpy_pulses(time_s: Any, voltage_v: Any, rest_v: Any, current_a: Any) -> tuple[Any, ...]:
    """R, k and the root mean square left, of all pulses at once."""
    root = np.sqrt(time_s)
    root_mean = root.mean(axis=1)
    root -= root_mean[:, None]
    fall = rest_v[:, None] - voltage_v
    fall_mean = fall.mean(axis=1)
    fall -= fall_mean[:, None]
    xx, xy, yy = (np.einsum("ij,ij->i", a, b) for a, b in ((root, root), (root, fall), (fall, fall)))
    slope = xy / xx
    return (fall_mean - slope * root_mean) / current_a, slope / current_a, np.sqrt((yy - slope * xy) / (SAMPLES - 2))


def pulse() -> dict[str, Any]:
    arrays = pulses()
    found = fit_pulses(*arrays)
    for mine, theirs in zip((found[0], found[1], found[4]), numpy_pulses(*arrays), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)

    def ours() -> None:
        for _ in range(PACKS):
            fit_pulses(*arrays)

    def peer() -> None:
        for _ in range(PACKS):
            numpy_pulses(*arrays)

    return compared(rounds(ours, peer), PULSES * PACKS)


def cores() -> dict[str, Any]:
    """How much faster two threads re-judge a fleet of packs than one."""
    packs = [pulses()] * (PACKS * 10)
    with ThreadPoolExecutor(2) as two, ThreadPoolExecutor(1) as one:

        def judged(pool: ThreadPoolExecutor) -> None:
            halves = packs[::2], packs[1::2]
            list(pool.map(lambda half: [fit_pulses(*pack) for pack in half], halves))

        return compared(rounds(lambda: judged(two), lambda: judged(one)), PULSES * len(packs))


def main() -> None:
    sides = {"pulse": pulse, "cores": cores, "k_value": k_value, "spc": spc}
    json.dump({name: side() for name, side in sides.items()}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
