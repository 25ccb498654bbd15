"""What is known of the modules, what a matching of them is, and how its spread is told."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmsctl.errors import BmsctlError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class MatchingError(BmsctlError):
    """Modules cannot be matched; the text says which, why, and what to do."""


class Matching(NamedTuple):
    """A matching of n modules to packs of `group`.

    `packs`: (packs, group) places of modules, ascending in a pack, packs by their first. `left_over`: the other places,
    ascending. `bound`: what no matching does better, with windows the number of packs, without them the spread.
    `spread`: as of `spread_of`; NaN if there is no pack.
    """

    packs: I64
    left_over: I64
    bound: float
    spread: float


def checked(capacity_ah: ArrayLike, dcir_ohm: ArrayLike, group: int) -> tuple[F64, F64]:
    """Both as contiguous (n,) floats.

    Raises:
        MatchingError: other shapes; a value that is NaN, infinite, or not above 0; `group` below 2 or above n.
    """
    capacity, dcir = np.ascontiguousarray(capacity_ah, np.float64), np.ascontiguousarray(dcir_ohm, np.float64)
    if capacity.ndim != 1 or capacity.shape != dcir.shape:
        raise MatchingError("modules are two lists of equal length; give each module a capacity and a resistance")
    for name, values in (("capacity", capacity), ("resistance", dcir)):
        wrong = np.flatnonzero(~((values > 0.0) & (values < np.inf)))
        if len(wrong):
            raise MatchingError(f"module {wrong[0] + 1} has a {name} of {values[wrong[0]]:g}; measure it again")
    if not 2 <= group <= len(capacity):
        raise MatchingError(f"{len(capacity)} modules make no pack of {group}; a pack has two modules or more")
    return capacity, dcir


def z_scores(capacity_ah: F64, dcir_ohm: F64) -> F64:
    """(n, 2) each value less its mean over all modules, over their standard deviation (of the population, divided by
    n); 0 where all modules are alike."""
    columns = [
        np.zeros(len(values)) if np.ptp(values) == 0.0 else (values - np.mean(values)) / np.std(values)
        for values in (capacity_ah, dcir_ohm)
    ]
    return np.ascontiguousarray(np.transpose(columns))


def spread_of(points: F64, packs: I64) -> float:
    """Root mean square, over the modules in packs and both columns of `points` (n, 2), of the deviation from the pack's
    mean. NaN without a pack."""
    if not packs.size:
        return float("nan")
    inside = points[packs]
    return float(np.sqrt(np.mean((inside - np.mean(inside, axis=1, keepdims=True)) ** 2)))


def told(packs: I64, count: int, points: F64, bound: float) -> Matching:
    """The matching in its order, from packs in any order over `count` modules."""
    ordered = np.sort(packs, axis=1)
    ordered = ordered[np.argsort(ordered[:, 0])]
    left_over = np.setdiff1d(np.arange(count), ordered)
    return Matching(ordered, left_over, bound, spread_of(points, ordered))
