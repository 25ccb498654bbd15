"""Twins of the control charts: exact fractions for moments, the rules as their sentences say, one value at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction


def exact_moments(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation, mean moving range and lag-1 autocorrelation; NaN and infinity are missing."""
    known = [Fraction(value) if math.isfinite(value) else None for value in values]
    numbers = [value for value in known if value is not None]
    pairs = [(a, b) for a, b in itertools.pairwise(known) if a is not None and b is not None]
    nan, n = math.nan, len(numbers)
    mean = sum(numbers) / n if n else None
    square = sum((value - mean) ** 2 for value in numbers) if mean is not None else 0
    product = sum((a - mean) * (b - mean) for a, b in pairs) if mean is not None else 0
    return {
        "n": n,
        "missing": len(values) - n,
        "mean": nan if mean is None else float(mean),
        "sd_overall": math.sqrt(square / (n - 1)) if n > 1 else nan,
        "moving_range": float(sum(abs(b - a) for a, b in pairs) / len(pairs)) if pairs else nan,
        "autocorrelation": float(product / square) if square else nan,
    }


def told_rules(values: Sequence[float], mean: float, sigma: float) -> dict[int, list[int]]:
    """The eight rules, each asked at each value of the values before it; NaN is missing."""
    hits: dict[int, list[int]] = {}
    for last in range(len(values)):
        for rule in range(1, 9):
            if _broken(rule, values[: last + 1], mean, sigma):
                hits.setdefault(rule, []).append(last)
    return dict(sorted(hits.items()))


def _broken(rule: int, values: Sequence[float], mean: float, sigma: float) -> bool:
    def newest(count: int) -> list[float] | None:
        taken = [value - mean for value in values[-count:]]
        return taken if len(taken) == count and all(math.isfinite(value) for value in taken) else None

    if rule == 1:
        one = newest(1)
        return one is not None and abs(one[0]) > 3 * sigma
    if rule == 2:
        nine = newest(9)
        return nine is not None and (all(x > 0 for x in nine) or all(x < 0 for x in nine))
    if rule == 3:
        six = newest(6)
        return six is not None and (_climbs(six) or _climbs([-x for x in six]))
    if rule == 4:
        many = newest(14)
        return many is not None and all(
            (b - a) * (c - b) < 0 for a, b, c in zip(many, many[1:], many[2:], strict=False)
        )
    if not sigma > 0:
        return False
    if rule in (5, 6):
        limit, window = (2 * sigma, 3) if rule == 5 else (sigma, 5)
        return any(_all_but_one([side * (x - mean) for x in values], limit, window) for side in (1, -1))
    if rule == 7:
        fifteen = newest(15)
        return fifteen is not None and all(abs(x) < sigma for x in fifteen)
    eight = newest(8)
    return eight is not None and all(abs(x) > sigma for x in eight) and max(eight) > 0 > min(eight)


def _climbs(values: Sequence[float]) -> bool:
    return all(b > a for a, b in itertools.pairwise(values))


def _all_but_one(values: Sequence[float], limit: float, window: int) -> bool:
    """Whether the newest is beyond, and at least window - 1 of the newest since the last gap."""
    count = 0
    for value in reversed(values[-window:]):
        if not math.isfinite(value):
            break
        count += value > limit
    return values[-1] > limit and count >= window - 1


def exact_f(groups: Sequence[Sequence[float]]) -> float:
    """F of a one-way analysis of variance, in fractions."""
    exact = [[Fraction(value) for value in group] for group in groups]
    means = [sum(group) / len(group) for group in exact]
    n = sum(len(group) for group in exact)
    grand = sum(sum(group) for group in exact) / n
    between = sum(len(group) * (mean - grand) ** 2 for group, mean in zip(exact, means, strict=True))
    within = sum((value - mean) ** 2 for group, mean in zip(exact, means, strict=True) for value in group)
    return float(between / (len(exact) - 1) / (within / (n - len(exact))))
