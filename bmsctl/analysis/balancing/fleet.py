"""Many packs at once: the functions of one pack compiled, and packs spread over the processors.

Each pack's result is written by itself, so any number of threads gives the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bmsctl.analysis.balancing import bleed, plan, schedule
from bmsctl.analysis.balancing.ocv import F64, I64, BalancingError, Curve
from bmsctl.analysis.balancing.plan import Rules
from bmsctl.analysis.compiled import kernel, parallel_kernel, prange

bleed_times = kernel(bleed.bleed_times)
shortest_time = kernel(bleed.shortest_time)
chip_schedule = kernel(schedule.chip_schedule)
events_max = kernel(schedule.events_max)
tick_of = kernel(plan.tick_of)


class Fleet(NamedTuple):
    """(packs, cells) each, as of one pack's `Cells`; rows contiguous or not."""

    capacity_ah: F64
    soc: F64
    bleed_ohm: F64


class FleetTimes(NamedTuple):
    """`bleed_s`: (packs, cells); `bound_s`: (packs,) T* of each pack. NaN where a value is missing or impossible."""

    bleed_s: F64
    bound_s: F64


class Spread(NamedTuple):
    """Mean and standard deviation of what differs from cell to cell, normal and independent."""

    capacity_ah: tuple[float, float]
    soc: tuple[float, float]
    bleed_ohm: tuple[float, float]


def fleet_times(
    curve: Curve, fleet: Fleet, level_soc: F64, chip_begins: I64, rules: Rules, bleed_s: F64 | None = None
) -> FleetTimes:
    """Bleed times and shortest time of each pack.

    Args:
        curve: of all cells.
        fleet: the packs, all of one topology; no pack gives empty results.
        level_soc: (packs,) at which each pack's cells shall be level.
        chip_begins: (chips + 1,) where each chip's cells begin, and their number at the end.
        rules: of every chip.
        bleed_s: (packs, cells) to write into, if given.

    Raises:
        BalancingError: shapes that do not fit, or `rules.at_once` below 1.
    """
    shape = fleet.soc.shape
    fits = len(shape) == 2 and fleet.capacity_ah.shape == shape == fleet.bleed_ohm.shape
    if not fits or level_soc.shape != shape[:1] or len(chip_begins) < 2 or chip_begins[-1] != shape[1]:
        raise BalancingError("a fleet is three arrays of (packs, cells), a level for each pack, and chips of all cells")
    if rules.at_once < 1:
        raise BalancingError(f"{rules.at_once} cells at a time can never be balanced; allow at least one")
    times = FleetTimes(np.empty(shape) if bleed_s is None else bleed_s, np.empty(shape[0]))
    capacity_ah, soc, bleed_ohm, level = (np.ascontiguousarray(each, np.float64) for each in (*fleet, level_soc))
    tables = (curve.pieces, curve.first_piece, curve.steps)
    fleet_kernel(capacity_ah, soc, bleed_ohm, level, *tables, chip_begins, *rules, *times)
    return times


def monte_carlo(
    curve: Curve, spread: Spread, packs: int, level_soc: float, chip_begins: I64, rules: Rules, seed: int
) -> F64:
    """(packs,) shortest times of packs drawn from a spread; the same seed gives the same packs.

    A pack of which a drawn value is impossible, or a cell cannot be bled far enough, is NaN.
    """
    random = np.random.default_rng(seed)
    shape = (packs, int(chip_begins[-1]))
    fleet = Fleet(*(random.normal(mean, sd, shape) for mean, sd in spread))
    return fleet_times(curve, fleet, np.full(packs, level_soc), chip_begins, rules).bound_s


@parallel_kernel
def fleet_kernel(
    capacity_ah: F64,
    soc: F64,
    bleed_ohm: F64,
    level_soc: F64,
    pieces: F64,
    first_piece: I64,
    steps: int,
    chip_begins: I64,
    at_once: int,
    apart: bool,
    bleed_s: F64,
    bound_s: F64,
) -> None:
    """Write `bleed_s` (packs, cells) and `bound_s` (packs,), pack by pack; see `fleet_times`."""
    for pack in prange(len(soc)):
        bleed_times(
            capacity_ah[pack],
            soc[pack],
            bleed_ohm[pack],
            level_soc[pack],
            pieces,
            first_piece,
            steps,
            bleed_s[pack],
        )
        bound_s[pack] = shortest_time(bleed_s[pack], chip_begins, at_once, apart)


@parallel_kernel
def fleet_makespans(bleed_s: F64, chip_begins: I64, at_once: int, apart: bool, makespan_s: F64) -> None:
    """Write the makespan of each pack's schedule, (packs,); NaN where a bleed time of (packs, cells) is none."""
    for pack in prange(len(bleed_s)):
        bound_s = shortest_time(bleed_s[pack], chip_begins, at_once, apart)
        makespan_s[pack] = bound_s
        if bound_s > 0.0:
            tick_s = tick_of(bound_s)
            longest = 0
            for chip in range(len(chip_begins) - 1):
                begin, end = chip_begins[chip], chip_begins[chip + 1]
                ticks = np.ceil(bleed_s[pack, begin:end] / tick_s).astype(np.int64)
                events = events_max(end - begin, at_once)
                ends, bleeding = np.zeros(events, np.int64), np.zeros((events, end - begin), np.bool_)
                count = chip_schedule(ticks, at_once, apart, ends, bleeding)
                longest = max(longest, ends[count - 1] if count else 0)
            makespan_s[pack] = longest * tick_s
