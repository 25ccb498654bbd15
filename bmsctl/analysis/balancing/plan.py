"""The plan of a whole pack: its chips side by side, as slots in which the same cells bleed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bmsctl.analysis.balancing.bleed import shortest_time
from bmsctl.analysis.balancing.ocv import F64, I64, BalancingError
from bmsctl.analysis.balancing.schedule import Flags, chip_schedule, events_max

Scheduler = Callable[[I64, int, bool, I64, Flags], int]

TICK_BITS = 50
"""A tick is about 2^-50 of the whole time: its multiples and their sums are exact as floats."""
INTERPRETED_MAX = 200_000
"""Table entries of the dynamic programming that are worked out sooner without the compiler than with its start."""


class Rules(NamedTuple):
    """What may bleed together: `at_once` cells of a chip at most; with `apart`, no two neighbours of a chip."""

    at_once: int
    apart: bool


class Slot(NamedTuple):
    """From when to when exactly these cells bleed, by their place from 0."""

    start_s: float
    end_s: float
    cells: tuple[int, ...]


class Plan(NamedTuple):
    """`bound_s`: no plan is shorter; `makespan_s`: how long this one takes."""

    bound_s: float
    makespan_s: float
    slots: tuple[Slot, ...]


def plan_pack(bleed_s: F64, chip_begins: I64, rules: Rules) -> Plan:
    """The shortest plan.

    Args:
        bleed_s: (cells,) in series order, 0 or more.
        chip_begins: (chips + 1,) where each chip's cells begin, and their number at the end.
        rules: of every chip.

    Returns:
        Slots in order of time, without gaps. Each cell bleeds its time to 1e-9 of the makespan: slots of a few ticks
        are what rounding to ticks leaves, and are dropped. No slot if there is nothing to bleed, or no cell.

    Raises:
        BalancingError: a bleed time is no number or below 0, or `rules.at_once` is below 1.
    """
    if rules.at_once < 1:
        raise BalancingError(f"{rules.at_once} cells at a time can never be balanced; allow at least one")
    bound_s = float(shortest_time(bleed_s, chip_begins, rules.at_once, rules.apart))
    if math.isnan(bound_s):
        raise BalancingError("a bleed time is missing, infinite or below 0; there is no plan without it")
    if bound_s == 0.0:
        return Plan(0.0, 0.0, ())
    tick_s = tick_of(bound_s)
    ticks = np.ceil(np.asarray(bleed_s) / tick_s).astype(np.int64)
    schedule = _scheduler(np.diff(chip_begins), rules)
    parts = [_chip(ticks[begin:end], rules, schedule) for begin, end in itertools.pairwise(chip_begins)]
    ends = np.unique(np.concatenate([part[0] for part in parts]))
    bleeding = np.concatenate([_at(ends, *part) for part in parts], axis=1)
    long = np.diff(ends, prepend=0) > 2 * len(ticks)
    whole, ends, bleeding = ends[-1], ends[long], bleeding[long]
    last_of_run = np.append((bleeding[1:] != bleeding[:-1]).any(axis=1), True)
    ends, bleeding = ends[last_of_run], bleeding[last_of_run]
    ends[-1] = whole
    starts = np.concatenate(([0], ends[:-1]))
    slots = tuple(
        Slot(float(start * tick_s), float(end * tick_s), tuple(np.flatnonzero(row).tolist()))
        for start, end, row in zip(starts, ends, bleeding, strict=True)
    )
    return Plan(bound_s, slots[-1].end_s, slots)


def tick_of(bound_s: float) -> float:
    """The tick in which to count a time above 0, a power of two of seconds."""
    return math.ldexp(1.0, math.frexp(bound_s)[1] - TICK_BITS)


def _scheduler(sizes: I64, rules: Rules) -> Scheduler:
    """`chip_schedule`, compiled if that is worth the compiler's start."""
    limited = rules.at_once < ((sizes + 1) // 2 if rules.apart else sizes)
    if int(np.sum(sizes**2 * np.where(limited, rules.at_once, 1))) <= INTERPRETED_MAX:
        return chip_schedule
    from bmsctl.analysis.balancing import fleet

    compiled: Scheduler = fleet.chip_schedule
    return compiled


def _chip(ticks: I64, rules: Rules, schedule: Scheduler) -> tuple[I64, Flags]:
    """(events,) ends and (events, cells) flags of one chip."""
    events = events_max(len(ticks), rules.at_once)
    ends, bleeding = np.zeros(events, np.int64), np.zeros((events, len(ticks)), np.bool_)
    count = schedule(ticks, rules.at_once, rules.apart, ends, bleeding)
    return ends[:count], bleeding[:count]


def _at(moments: I64, ends: I64, bleeding: Flags) -> Flags:
    """(moments, cells) which cells of a chip bleed in the stretch that ends at each moment."""
    nobody = np.zeros((1, bleeding.shape[1]), np.bool_)
    flags: Flags = np.concatenate((bleeding, nobody))[np.searchsorted(ends, moments)]
    return flags
