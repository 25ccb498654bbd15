"""Balancing plans of whole packs, against what else could be used.

numpy     bleed times and shortest times of a batch of packs, one processor: the same closed form vectorised
blocks    the same in pieces of the batch that the processor's cache holds
highs     the plan of a pack, one processor: scipy's HiGHS on a linear program with a share of each slot for each cell
scaling   the same batch on one processor and on two
schedule  the longest schedule over its bound, of packs drawn at random

Sides alternate within a round, and of each the fastest turn counts; each ratio stands for its round.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array

from bmsctl.analysis.balancing.fleet import Fleet, FleetTimes, fleet_makespans, fleet_times
from bmsctl.analysis.balancing.ocv import Curve, ocv_curve
from bmsctl.analysis.balancing.plan import Rules

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

ROUNDS, TURNS = 7, 9
PACKS, CHIPS, CELLS = 2000, 9, 12
BLOCK = 100
SCHEDULED = 200
LP_SLOTS = 48
RULES = Rules(at_once=4, apart=True)
BEGINS = np.arange(0, CHIPS * CELLS + 1, CELLS)
HOUR_S = 3600.0


def nmc_curve() -> Curve:
    """Twenty-one points of a shape that a cell with nickel has."""
    soc = np.linspace(0.0, 1.0, 21)
    return ocv_curve(soc, 3.45 + 0.72 * soc - 0.4 * np.exp(-14.0 * soc) + 0.03 * np.sin(7.0 * soc))


def drawn(packs: int, seed: int) -> Fleet:
    """Packs whose cells differ."""
    random = np.random.default_rng(seed)
    shape = (packs, CHIPS * CELLS)
    return Fleet(random.normal(157.0, 1.5, shape), random.normal(0.6, 0.015, shape), random.normal(33.0, 0.3, shape))


def numpy_times(curve: Curve, fleet: Fleet, level_soc: float) -> FleetTimes:
    """The closed form on whole arrays; the curve has equal segments, so none is searched for."""
    lacking = fleet.capacity_ah * (level_soc - fleet.soc)
    low = fleet.soc - (np.maximum(lacking.max(axis=1, keepdims=True), 0.0) - lacking) / fleet.capacity_ah
    width = curve.soc[1] - curve.soc[0]
    slope = np.diff(curve.voltage_v) / width
    growth = slope * width / curve.voltage_v[:-1]
    integral = np.concatenate(([0.0], np.cumsum(width / curve.voltage_v[:-1] * np.log1p(growth) / growth)))

    def below(soc: F64) -> F64:
        segment = np.minimum((soc * (1.0 / width)).astype(np.int64), len(slope) - 1)
        rise = slope[segment]
        inside: F64 = np.log1p(rise * (soc - curve.soc[segment]) / curve.voltage_v[segment]) / rise
        inside += integral[segment]
        return inside

    bleed_s = HOUR_S * fleet.bleed_ohm * fleet.capacity_ah * (below(fleet.soc) - below(low))
    chips = bleed_s.reshape(len(bleed_s), CHIPS, CELLS)
    longest = np.maximum(chips.max(axis=2), chips.sum(axis=2) / RULES.at_once)
    longest = np.maximum(longest, (chips[:, :, 1:] + chips[:, :, :-1]).max(axis=2))
    return FleetTimes(bleed_s, longest.max(axis=1))


def lp_rows() -> tuple[csr_array, F64, csr_array]:
    """Of one chip: neighbours and count in each slot, at most one and K; and the time of each cell over all slots."""
    slot, cell = np.divmod(np.arange(LP_SLOTS * (CELLS - 1)), CELLS - 1)
    row = np.arange(len(slot))
    first = slot * CELLS + cell
    pairs = coo_array((np.ones(2 * len(row)), (np.tile(row, 2), np.append(first, first + 1))))
    columns = np.arange(LP_SLOTS * CELLS)
    count = coo_array((np.ones(len(columns)), (len(row) + columns // CELLS, columns)))
    upper = csr_array(
        (
            np.append(pairs.data, count.data),
            (np.append(pairs.row, count.row), np.append(pairs.col, count.col)),
        )
    )
    limits = np.append(np.ones(len(row)), np.full(LP_SLOTS, float(RULES.at_once)))
    return upper, limits, csr_array((np.ones(len(columns)), (columns % CELLS, columns)))


def highs(bleed_s: F64, rows: tuple[csr_array, F64, csr_array]) -> float:
    """Seconds of wall time for the chips of one pack, each a question whether its shortest time suffices."""
    upper, limits, equal = rows
    taken_s = 0.0
    for chip in bleed_s.reshape(CHIPS, CELLS):
        bound_s = max(chip.max(), (chip[1:] + chip[:-1]).max(), chip.sum() / RULES.at_once) * (1.0 + 1e-9)
        started_s = time.perf_counter()
        found = linprog(
            np.zeros(LP_SLOTS * CELLS),
            A_ub=upper,
            b_ub=limits,
            A_eq=equal,
            b_eq=chip / bound_s * LP_SLOTS,
            bounds=(0.0, 1.0),
            method="highs",
        )
        taken_s += time.perf_counter() - started_s
        assert found.status == 0, found.message
    return taken_s


def wall_s(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def on(threads: int, work: Callable[[], object]) -> float:
    """Wall time with so many threads."""
    numba.set_num_threads(threads)
    return wall_s(work)


def main() -> None:
    curve, fleet, rows = nmc_curve(), drawn(PACKS, 1), lp_rows()
    level = np.ones(PACKS)
    result, makespan_s = np.empty_like(fleet.soc), np.empty(SCHEDULED)

    def ours() -> FleetTimes:
        return fleet_times(curve, fleet, level, BEGINS, RULES, result)

    times, peer = ours(), numpy_times(curve, fleet, 1.0)
    np.testing.assert_allclose(peer.bleed_s, times.bleed_s, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(peer.bound_s, times.bound_s, rtol=1e-12)
    bleed_s = times.bleed_s[:SCHEDULED].copy()

    def schedules() -> None:
        fleet_makespans(bleed_s, BEGINS, *RULES, makespan_s)

    def blocks() -> None:
        for begin in range(0, PACKS, BLOCK):
            numpy_times(curve, Fleet(*(values[begin : begin + BLOCK] for values in fleet)), 1.0)

    sides: dict[str, Callable[[], float]] = {
        "one": lambda: on(1, ours),
        "numpy": lambda: wall_s(lambda: numpy_times(curve, fleet, 1.0)),
        "two": lambda: on(min(2, numba.config.NUMBA_NUM_THREADS), ours),
        "blocks": lambda: wall_s(blocks),
        "schedule": lambda: on(1, schedules),
    }
    schedules()
    figures: dict[str, list[float]] = {
        name: [] for name in ("numpy", "blocks", "highs", "scaling", "pack_us", "schedule_us")
    }
    for turn in range(ROUNDS):
        best = dict.fromkeys(sides, float("inf"))
        lp_s = highs(bleed_s[turn], rows)
        for _ in range(TURNS):
            for name, side in sides.items():
                best[name] = min(best[name], side())
        lp_s = min(lp_s, highs(bleed_s[turn], rows))
        figures["numpy"].append(best["numpy"] / best["one"])
        figures["blocks"].append(best["blocks"] / best["one"])
        figures["scaling"].append(best["one"] / best["two"])
        figures["highs"].append(lp_s / best["schedule"] * SCHEDULED)
        figures["pack_us"].append(best["one"] / PACKS * 1e6)
        figures["schedule_us"].append(best["schedule"] / SCHEDULED * 1e6)
    worst = float(np.max(makespan_s / times.bound_s[:SCHEDULED]))
    json.dump(figures | {"schedule": worst}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
