"""Matching of modules, against sorting by capacity and slicing, and against proven bounds.

spread_4, spread_12    spread of our packs over that of sort and slice: 2000 modules, in fours and in twelves
least_4, least_12      the bound over our spread: what the best matching could still win
missing                packs below the bound, at most, with windows of 0.8 % and 4 %
spread_ms, packs_ms    wall time of 2000 modules in memory, the slower of fours and twelves
sort_ms                the same of sort and slice

Sides alternate; each round is another lot, and of each side the faster of two turns counts.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from bmsctl.analysis.matching.least_spread import match_all
from bmsctl.analysis.matching.modules import F64, Matching, spread_of, z_scores
from bmsctl.analysis.matching.most_packs import match_windows
from bmsctl.analysis.matching.windows import Windows

Result = TypeVar("Result")

ROUNDS, TURNS = 7, 2
MODULES, GROUPS = 2000, (4, 12)
SMALL = 200
WINDOWS = Windows(0.008, 0.04)


def drawn(count: int, seed: int) -> tuple[F64, F64]:
    """Capacities that differ by 1 % and resistances that differ by 3 %, correlated by -0.4."""
    z = np.random.default_rng(seed).multivariate_normal((0.0, 0.0), ((1.0, -0.4), (-0.4, 1.0)), count)
    return 157.0 * (1.0 + 0.01 * z[:, 0]), 1e-3 * (1.0 + 0.03 * z[:, 1])


def sorted_and_sliced(capacity_ah: F64, dcir_ohm: F64, group: int) -> float:
    """Spread of packs of modules that follow each other in capacity."""
    packs = np.argsort(capacity_ah, kind="stable")[: len(capacity_ah) // group * group].reshape(-1, group)
    return spread_of(z_scores(capacity_ah, dcir_ohm), packs)


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Wall time in milliseconds, and what came out."""
    started_s = time.perf_counter()
    result = work()
    return (time.perf_counter() - started_s) * 1e3, result


def missing_of(found: Matching) -> int:
    """Packs below the bound."""
    return int(found.bound) - len(found.packs)


def main() -> None:
    names = ("spread_4", "spread_12", "least_4", "least_12", "missing", "spread_ms", "packs_ms", "sort_ms")
    figures: dict[str, list[float]] = {name: [] for name in names}
    match_all(*drawn(SMALL, 0), GROUPS[0])
    match_windows(*drawn(SMALL, 0), GROUPS[0], WINDOWS)
    for turn in range(ROUNDS):
        capacity_ah, dcir_ohm = drawn(MODULES, turn)
        slowest = {"spread_ms": 0.0, "packs_ms": 0.0, "sort_ms": 0.0}
        missing = [missing_of(match_windows(*drawn(SMALL, turn), group, WINDOWS)) for group in GROUPS]
        for group in GROUPS:
            best = dict.fromkeys(slowest, float("inf"))
            for _ in range(TURNS):
                spread_ms, found = timed(lambda: match_all(capacity_ah, dcir_ohm, group))  # noqa: B023
                sort_ms, peer = timed(lambda: sorted_and_sliced(capacity_ah, dcir_ohm, group))  # noqa: B023
                packs_ms, packed = timed(lambda: match_windows(capacity_ah, dcir_ohm, group, WINDOWS))  # noqa: B023
                took = {"spread_ms": spread_ms, "packs_ms": packs_ms, "sort_ms": sort_ms}
                best = {name: min(best[name], took[name]) for name in took}
            slowest = {name: max(slowest[name], best[name]) for name in slowest}
            figures[f"spread_{group}"].append(found.spread / peer)
            figures[f"least_{group}"].append(found.bound / found.spread)
            missing.append(missing_of(packed))
        figures["missing"].append(max(missing))
        for name, value in slowest.items():
            figures[name].append(value)
    json.dump(figures, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
