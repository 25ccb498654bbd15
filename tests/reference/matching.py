"""Twins of matching: every partition by brute force, and linear programs over whole packs and over windows."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array

F64 = NDArray[np.float64]
Pack = tuple[int, ...]


def z_scored(columns: Sequence[Sequence[float]]) -> list[list[float]]:
    """Each column about its mean, over its standard deviation; zeros if that is 0."""
    scored = []
    for column in columns:
        mean, sd = statistics.fmean(column), statistics.pstdev(column)
        scored.append([(value - mean) / sd if min(column) < max(column) else 0.0 for value in column])
    return scored


def spread(columns: Sequence[Sequence[float]], packs: Sequence[Sequence[int]]) -> float:
    """Root mean square of the z-scored values of the modules in packs about their pack's mean."""
    squares = []
    for column in z_scored(columns):
        for pack in packs:
            mean = statistics.fmean(column[module] for module in pack)
            squares += [(column[module] - mean) ** 2 for module in pack]
    return statistics.fmean(squares) ** 0.5


def least_spread(columns: Sequence[Sequence[float]], group: int) -> float:
    """The least spread of all matchings with as many packs as there are modules for: a cover by whole packs, exact."""
    scored = np.array(z_scored(columns))
    count = scored.shape[1]
    packs = list(itertools.combinations(range(count), group))
    inside = scored[:, np.array(packs)]
    cost = np.sum((inside - inside.mean(axis=2, keepdims=True)) ** 2, axis=(0, 2))
    member = _membership(packs, count)
    made = count // group
    rules = [
        LinearConstraint(member, -np.inf, np.ones(count)),
        LinearConstraint(np.ones((1, len(packs))), made, made),
    ]
    found = milp(cost, constraints=rules, integrality=np.ones(len(packs)), bounds=Bounds(0, 1))
    assert found.status == 0, found.message
    return float((found.fun / (2 * made * group)) ** 0.5)


def keeps(values: Sequence[float], window: float) -> bool:
    """Whether range over median keeps a window."""
    return (max(values) - min(values)) / statistics.median(values) <= window


def possible_packs(columns: Sequence[Sequence[float]], group: int, windows: Sequence[float]) -> Iterator[Pack]:
    """Every set of modules that keeps the windows."""
    for pack in itertools.combinations(range(len(columns[0])), group):
        if all(
            keeps([column[module] for module in pack], window) for column, window in zip(columns, windows, strict=True)
        ):
            yield pack


def most_packs(columns: Sequence[Sequence[float]], group: int, windows: Sequence[float]) -> int:
    """The greatest number of packs that share no module, exact."""
    packs = list(possible_packs(columns, group, windows))
    if not packs:
        return 0
    count = len(columns[0])
    rule = LinearConstraint(_membership(packs, count), -np.inf, np.ones(count))
    found = milp(-np.ones(len(packs)), constraints=rule, integrality=np.ones(len(packs)), bounds=Bounds(0, 1))
    assert found.status == 0, found.message
    return round(-found.fun)


def window_model(capacity: F64, dcir: F64, group: int, windows: Sequence[float]) -> float:
    """Bound of the number of packs by the linear program of the window model.

    Every pack lies in a window anchored at one module's capacity and one's resistance; windows may use shares of
    modules, each `group` times as much in all as it has packs, and of no module more than it has packs.
    """
    found = set()
    for low, base in itertools.product(capacity, dcir):
        inside = (capacity >= low) & (capacity * (1.0 - windows[0]) <= low * (1.0 + 1e-9))
        inside &= (dcir >= base) & (dcir * (1.0 - windows[1]) <= base * (1.0 + 1e-9))
        if np.count_nonzero(inside) >= group:
            found.add(tuple(np.flatnonzero(inside).tolist()))
    boxes = [box for box in found if not any(set(box) < set(other) for other in found)]
    if not boxes:
        return 0.0
    shares = [(number, module) for number, box in enumerate(boxes) for module in box]
    at = np.arange(len(shares))
    number, module = np.array(shares).T
    count, ones = len(capacity), np.ones(len(shares))
    rows = np.concatenate((module, count + at, count + at))
    columns = np.concatenate((len(boxes) + at, len(boxes) + at, number))
    upper = csr_array((np.concatenate((ones, ones, -ones)), (rows, columns)))
    totals = csr_array(
        (
            np.concatenate((ones, np.full(len(boxes), -float(group)))),
            (np.concatenate((number, np.arange(len(boxes)))), np.concatenate((len(boxes) + at, np.arange(len(boxes))))),
        )
    )
    done = linprog(
        np.concatenate((-np.ones(len(boxes)), np.zeros(len(shares)))),
        A_ub=upper,
        b_ub=np.concatenate((np.ones(count), np.zeros(len(shares)))),
        A_eq=totals,
        b_eq=np.zeros(len(boxes)),
        method="highs",
    )
    assert done.status == 0, done.message
    return float(-done.fun)


def closest_range(lowest: Sequence[float], highest: Sequence[float], one: int, count: int) -> float:
    """The least range of all values of a set that has `one`, by trying every set."""
    others = [module for module in range(len(lowest)) if module != one]
    return min(
        max(highest[module] for module in (one, *rest)) - min(lowest[module] for module in (one, *rest))
        for rest in itertools.combinations(others, count - 1)
    )


def _membership(packs: Sequence[Pack], count: int) -> csr_array:
    """(count, packs) 1 where a module is in a pack."""
    module = np.array(packs).ravel()
    return csr_array(
        (np.ones(len(module)), (module, np.repeat(np.arange(len(packs)), len(packs[0])))), (count, len(packs))
    )
