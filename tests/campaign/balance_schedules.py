"""Schedules of random and adversarial chips: each must take exactly the shortest time, keep the rules, bleed all.

`python -m tests.campaign.balance_schedules 50000 1` runs so many chips from a seed and prints the worst.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.balancing.plan import tick_of
from bmsctl.analysis.balancing.schedule import events_max

F64 = NDArray[np.float64]
Schedule = Callable[..., int]

CELLS_MAX, AT_ONCE_MAX = 24, 12


def exponential(random: np.random.Generator, cells: int) -> F64:
    return random.exponential(3e4, cells)


def heavy_tailed(random: np.random.Generator, cells: int) -> F64:
    return random.pareto(0.7, cells) * 100.0


def sparse(random: np.random.Generator, cells: int) -> F64:
    return random.exponential(3e4, cells) * (random.random(cells) < 0.3)


def ties(random: np.random.Generator, cells: int) -> F64:
    return random.integers(0, 4, cells).astype(np.float64)


def nearly_ties(random: np.random.Generator, cells: int) -> F64:
    return random.integers(0, 4, cells) * (1.0 + 1e-15 * random.integers(0, 3, cells))


def all_pairs_tight(random: np.random.Generator, cells: int) -> F64:
    share = random.random()
    return np.where(np.arange(cells) % 2, share, 1.0 - share) * 1e5


def fourteen_decades(random: np.random.Generator, cells: int) -> F64:
    return 10.0 ** random.uniform(-7.0, 7.0, cells)


def one_long(random: np.random.Generator, cells: int) -> F64:
    found = random.random(cells)
    found[random.integers(cells)] = cells
    return found


def equal(random: np.random.Generator, cells: int) -> F64:
    return np.full(cells, random.exponential(1e4))


SHAPES = (
    exponential,
    heavy_tailed,
    sparse,
    ties,
    nearly_ties,
    all_pairs_tight,
    fourteen_decades,
    one_long,
    equal,
)


def judged(bleed_s: F64, at_once: int, apart: bool, schedule: Schedule) -> tuple[float, float, int]:
    """Makespan over bound less 1, the worst difference of a cell's time over the bound, and events over cells.

    Raises:
        AssertionError: a rule is broken.
    """
    cells = len(bleed_s)
    bound_s = max(float(np.max(bleed_s)), float(np.sum(bleed_s)) / at_once)
    if apart and cells > 1:
        bound_s = max(bound_s, float(np.max(bleed_s[1:] + bleed_s[:-1])))
    if bound_s == 0.0:
        return 0.0, 0.0, 0
    tick_s = tick_of(bound_s)
    events = events_max(cells, at_once)
    ends, bleeding = np.zeros(events, np.int64), np.zeros((events, cells), np.bool_)
    count = schedule(np.ceil(bleed_s / tick_s).astype(np.int64), at_once, apart, ends, bleeding)
    lengths, on = np.diff(ends[:count], prepend=0), bleeding[:count]
    assert (lengths > 0).all(), "an event takes time"
    assert (on.sum(axis=1) <= at_once).all(), "no more cells than allowed"
    assert not apart or not (on[:, 1:] & on[:, :-1]).any(), "no neighbours"
    bled_s = lengths.astype(np.float64) @ on * tick_s
    return ends[count - 1] * tick_s / bound_s - 1.0, float(np.max(np.abs(bled_s - bleed_s))) / bound_s, count - cells


def campaign(chips: int, seed: int, schedule: Schedule) -> tuple[float, float, int]:
    """The worst of so many chips."""
    random = np.random.default_rng(seed)
    worst = (0.0, 0.0, 0)
    for number in range(chips):
        bleed_s = SHAPES[number % len(SHAPES)](random, int(random.integers(1, CELLS_MAX + 1)))
        at_once, apart = int(random.integers(1, AT_ONCE_MAX + 1)), bool(random.integers(4))
        found = judged(bleed_s, at_once, apart, schedule)
        assert found[0] > -1e-12, "no plan is shorter than the bound"
        worst = tuple(map(max, worst, found))  # type: ignore[assignment]
    return worst


def main() -> int:
    from bmsctl.analysis.balancing.fleet import chip_schedule

    chips, seed = (int(argument) for argument in sys.argv[1:3])
    makespan, bled, events = campaign(chips, seed, chip_schedule)
    sys.stdout.write(
        f"{chips} chips: makespan at most {makespan:.1e} over the bound, "
        f"bleed times within {bled:.1e} of it, at most {events} events more than cells\n"
    )
    return 0 if max(makespan, bled) <= 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
