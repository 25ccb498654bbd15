"""The goals of the kernels, each family's figures from a process of its own."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tests.bench.rows import Row, figures


def kernel_rows() -> list[Row]:
    """Every goal of the analyses."""
    return [*_balancing(), *_matching(), *_statistics()]


def _at_least(goal: str, ratios: Sequence[float], limit: float, ours: str, peer: str) -> Row:
    ratio = statistics.median(ratios)
    return Row(goal, ours, peer, ratio, f">= {limit:g}", ratio >= limit)


def _at_most(goal: str, value: float, limit: float, ours: str, peer: str) -> Row:
    return Row(goal, ours, peer, value, f"<= {limit:g}", value <= limit)


def _balancing() -> list[Row]:
    found = figures("tests.bench.balancing")
    pack = f"{statistics.median(found['pack_us']):.2f} us a pack"
    schedule = f"{statistics.median(found['schedule_us']):.0f} us a pack of 9 chips"
    return [
        _at_least("balancing, bleed times", found["numpy"], 5.0, pack, "numpy, all packs at once"),
        _at_least("balancing, bleed times in blocks", found["blocks"], 5.0, pack, "numpy, 100 packs at once"),
        _at_least("balancing, schedule", found["highs"], 500.0, schedule, "HiGHS, time-indexed"),
        _at_least("balancing, second core", found["scaling"], 1.8, "two threads", "one thread"),
        _at_most("balancing, schedule over its bound", found["schedule"] - 1.0, 1e-6, "makespan / T* - 1", "the bound"),
    ]


def _matching() -> list[Row]:
    found = figures("tests.bench.matching")
    took_ms = {name: statistics.median(found[name]) for name in ("spread_ms", "packs_ms")}
    return [
        _at_most(
            "matching, spread of groups of 4", statistics.median(found["spread_4"]), 1 / 3, "ours", "sort and slice"
        ),
        _at_most(
            "matching, spread of groups of 12", statistics.median(found["spread_12"]), 0.55, "ours", "sort and slice"
        ),
        _at_most("matching, packs below the bound", max(found["missing"]), 1.0, "most packs", "a proven bound"),
        _at_most("matching, 2000 modules in ms", took_ms["spread_ms"], 150.0, "least spread, the slower group", "-"),
        _at_most("matching, most packs of 2000 in ms", took_ms["packs_ms"], 150.0, "most packs, the slower group", "-"),
    ]


def _statistics() -> list[Row]:
    found = figures("tests.bench.statistics")
    rows = [
        _at_least(f"statistics, 1e7 keyed values, {peer}", [found["spc"][peer]["ratio"]], 4.0, "SPC", peer)
        for peer in ("numpy", "polars")
    ]
    return [
        *rows,
        _at_least("statistics, K values", [found["k_value"]["ratio"]], 6.0, "slope and its error", "numpy"),
        _at_least("statistics, pulse fits", [found["pulse"]["ratio"]], 5.0, "1 and sqrt(t)", "numpy"),
        _at_least("statistics, second core", [found["cores"]["ratio"]], 1.8, "two threads", "one thread"),
    ]
