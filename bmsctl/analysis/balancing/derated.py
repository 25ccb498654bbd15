"""Plans for chips that are limited by power or by their own temperature, by list scheduling, with the gap they leave.

Cells that bleed with unequal powers make the count rule a knapsack, and the shortest time of `bleed` is not always
reached. Time advances in steps. In each, cells are taken in the order of what they still have to bleed, together with
their neighbours' if those may not bleed with them, as long as number and power allow.

The die is a thermal resistance and a time constant,

    tau d(theta)/dt = R_th P - (theta - theta_ambient),

so the power that it can bear for a step follows from its temperature at the step's begin. Lower bounds of the time:

    T* with the number of cells that fit under the power limit,
    sum(w_i p_i), where w_i is P_i / P_max, or for some a <= P_max / 2: 1 above P_max - a, and 0 below a,
    sum(p_i) / m over the cells with more than P_max / (m + 1),
    (sum(P_i p_i) - C_th (theta_max - theta_0)) / P_th    with C_th = tau / R_th, P_th = (theta_max - theta_amb) / R_th;

the last because what is not carried off while the die is at its limit at most is stored in it. Powers are those at the
begin, the highest; they are held.

Source of the second and third: Martello and Toth, "Lower bounds and reduction procedures for the bin packing problem",
1990.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bmsctl.analysis.balancing.bleed import shortest_time
from bmsctl.analysis.balancing.ocv import F64, BalancingError
from bmsctl.analysis.balancing.plan import Rules, Slot

STEPS_PER_BOUND = 1000
STEPS_PER_TAU = 4
STEPS_MAX = 200_000


class Die(NamedTuple):
    """A chip's die: K/W to its surroundings, its time constant, and temperatures in degC."""

    rise_k_per_w: float
    tau_s: float
    ambient_c: float
    limit_c: float


class DeratedPlan(NamedTuple):
    """The plan of one chip. `gap`: its makespan over the lower bound, less 1; `hottest_c`: NaN without a die."""

    bound_s: float
    makespan_s: float
    gap: float
    hottest_c: float
    slots: tuple[Slot, ...]


def plan_derated(
    bleed_s: F64, power_w: F64, rules: Rules, power_max_w: float = math.inf, die: Die | None = None
) -> DeratedPlan:
    """A plan of one chip under a power limit, a temperature limit, or both.

    Args:
        bleed_s: (cells,) times to bleed, 0 or more.
        power_w: (cells,) what each turns to heat in the chip meanwhile, above 0.
        rules: number and neighbours.
        power_max_w: of the chip at any time.
        die: if its temperature limits; it begins at ambient temperature.

    Raises:
        BalancingError: a value is missing or impossible; a cell's power alone is beyond the limit; or the die would
            need more steps than can be worked out.
    """
    if not (np.isfinite(bleed_s).all() and np.isfinite(power_w).all() and (bleed_s >= 0.0).all()):
        raise BalancingError("a bleed time or power is missing or below 0; there is no plan without it")
    if len(bleed_s) != len(power_w) or not (power_w > 0.0).all() or rules.at_once < 1:
        raise BalancingError("each cell needs a power above 0, and at least one cell must be allowed at a time")
    if die is not None and not (die.rise_k_per_w > 0.0 and die.tau_s > 0.0 and die.limit_c > die.ambient_c):
        raise BalancingError("a die needs a thermal resistance and a time constant above 0, and a limit above ambient")
    bound_s = lower_bound(bleed_s, power_w, rules, power_max_w, die)
    if bound_s == 0.0:
        return DeratedPlan(0.0, 0.0, 0.0, math.nan if die is None else die.ambient_c, ())
    step_s = bound_s / STEPS_PER_BOUND if die is None else min(bound_s / STEPS_PER_BOUND, die.tau_s / STEPS_PER_TAU)
    if bound_s / step_s > STEPS_MAX:
        raise BalancingError(f"bleeding for {bound_s:.3g} s is too long for a die of {die and die.tau_s:g} s")
    strongest_w = float(np.max(power_w[bleed_s > 0.0]))
    coldest_w = math.inf if die is None else _bearable(die, die.ambient_c, step_s)
    if strongest_w > min(power_max_w, coldest_w):
        raise BalancingError(f"a cell of {strongest_w:.3g} W alone is beyond the chip's limit; use a larger resistor")
    slots, hottest_c = _steps(bleed_s, power_w, rules, power_max_w, die, step_s)
    makespan_s = slots[-1].end_s
    return DeratedPlan(bound_s, makespan_s, makespan_s / bound_s - 1.0, hottest_c, tuple(slots))


def lower_bound(bleed_s: F64, power_w: F64, rules: Rules, power_max_w: float, die: Die | None) -> float:
    """Seconds that no plan of the chip can go below."""
    due = bleed_s > 0.0
    fitting = int(np.searchsorted(np.cumsum(np.sort(power_w[due])), power_max_w, side="right"))
    at_once = max(1, min(rules.at_once, fitting))
    bounds = [shortest_time(bleed_s, np.array([0, len(bleed_s)]), at_once, rules.apart)]
    if math.isfinite(power_max_w):
        bounds += _power_bounds(bleed_s, power_w, power_max_w)
    if die is not None:
        borne_w = (die.limit_c - die.ambient_c) / die.rise_k_per_w
        bounds.append((float(bleed_s @ power_w) - borne_w * die.tau_s) / borne_w)
    return max(bounds)


def _power_bounds(bleed_s: F64, power_w: F64, power_max_w: float) -> list[float]:
    """How long the cells take that m at a time fill a chip, and those that leave no room for the smallest."""
    bounds = [float(np.sum(bleed_s[power_w * (most + 1) > power_max_w])) / most for most in range(1, len(bleed_s) + 1)]
    for small_w in (0.0, *power_w[power_w * 2.0 <= power_max_w].tolist()):
        share = np.where(power_w > power_max_w - small_w, 1.0, power_w / power_max_w)
        bounds.append(float(bleed_s @ np.where(power_w < small_w, 0.0, share)))
    return bounds


def _steps(
    bleed_s: F64, power_w: F64, rules: Rules, power_max_w: float, die: Die | None, step_s: float
) -> tuple[list[Slot], float]:
    """Slots, those of equal cells joined, and the highest temperature."""
    left_s, now_s = bleed_s.copy(), 0.0
    theta_c = hottest_c = math.nan if die is None else die.ambient_c
    slots: list[Slot] = []
    while left_s.any():
        allowed_w = power_max_w if die is None else min(power_max_w, _bearable(die, theta_c, step_s))
        cells = _chosen(left_s, power_w, rules, allowed_w)
        length_s = min(step_s, min((float(left_s[cell]) for cell in cells), default=step_s))
        if die is not None:
            settles_c = die.ambient_c + die.rise_k_per_w * float(sum(power_w[cell] for cell in cells))
            theta_c = settles_c + (theta_c - settles_c) * math.exp(-length_s / die.tau_s)
            hottest_c = max(hottest_c, theta_c)
        for cell in cells:
            left_s[cell] -= length_s
        start_s, now_s = now_s, now_s + length_s
        if slots and slots[-1].cells == cells:
            slots[-1] = slots[-1]._replace(end_s=now_s)
        else:
            slots.append(Slot(start_s, now_s, cells))
    return [slot for slot in slots if slot.cells], hottest_c


def _bearable(die: Die, theta_c: float, step_s: float) -> float:
    """Watts that bring a die to its limit at the end of a step."""
    kept = math.exp(-step_s / die.tau_s)
    settles_c = (die.limit_c - theta_c * kept) / (1.0 - kept)
    return (settles_c - die.ambient_c) / die.rise_k_per_w


def _chosen(left_s: F64, power_w: F64, rules: Rules, allowed_w: float) -> tuple[int, ...]:
    """Cells that bleed in a step, the most urgent first taken."""
    beside_s = np.zeros_like(left_s)
    if rules.apart:
        beside_s[1:] = left_s[:-1]
        beside_s[:-1] = np.maximum(beside_s[:-1], left_s[1:])
    taken: list[int] = []
    used_w = 0.0
    for cell in np.lexsort((-left_s, -(left_s + beside_s))).tolist():
        fits = len(taken) < rules.at_once and used_w + power_w[cell] <= allowed_w
        near = rules.apart and (cell - 1 in taken or cell + 1 in taken)
        if left_s[cell] > 0.0 and fits and not near:
            taken.append(cell)
            used_w += float(power_w[cell])
    return tuple(sorted(taken))
