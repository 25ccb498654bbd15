"""Risks of a wrong verdict when a measurement with an uncertainty is judged against limits, and the guard band.

The product's value and the measured one are jointly normal. A product out of limits that is accepted is the
customer's risk, PFA; a good one that is rejected is the producer's, PFR:

    PFA = Int (outside limits)  p(y) P(accepted | y) dy        PFR = Int (within) p(y) (1 - P(accepted | y)) dy

Source: JCGM 106:2012, clause 9.3 and annex A. Reference: tests/reference/risk.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from bmsctl.errors import BmsctlError

REACH = 10.0
"""Standard deviations beyond which a normal distribution holds nothing that a double could add to 1."""
NODES = 20
BISECTIONS = 60


class RiskError(BmsctlError):
    """The risk cannot be computed for such numbers, or no guard band is wide enough."""


class Model(NamedTuple):
    """The process and the measurement: all in the unit of the value; infinite limits for none."""

    mean: float
    sd: float
    uncertainty: float
    lower: float = -math.inf
    upper: float = math.inf


class Risk(NamedTuple):
    """Shares of all products: bad and accepted, good and rejected."""

    false_accept: float
    false_reject: float


def risks(model: Model, guard: float = 0.0) -> Risk:
    """Both risks, accepting what is measured within the limits less a guard band on either side.

    Args:
        model: mean and standard deviation of the products, standard uncertainty of the measurement, limits.
        guard: width of the guard band; negative accepts beyond the limits. One so wide that nothing is accepted is
            allowed.

    Raises:
        RiskError: a spread that is not positive, a value that is no number, no limit, or inverted ones.
    """
    _check(model, guard)
    accept = model.lower + guard, model.upper - guard
    reach = REACH * model.uncertainty
    outside = [(-math.inf, model.lower), (model.upper, math.inf)]
    near = accept[0] - reach, accept[1] + reach
    if accept[0] >= accept[1]:
        return Risk(0.0, _share(model, (model.lower, model.upper)))
    false_accept = sum(
        _integral(model, (max(low, near[0]), min(high, near[1])), lambda y: _accepted(y, accept, model.uncertainty))
        for low, high in outside
    )
    inner_low, inner_high = accept[0] + reach, accept[1] - reach
    if inner_low < inner_high:
        edges = [(model.lower, min(inner_low, model.upper)), (max(inner_high, model.lower), model.upper)]
    else:
        edges = [(model.lower, model.upper)]
    false_reject = sum(
        _integral(model, edge, lambda y: _rejected(y, accept, model.uncertainty)) for edge in edges if edge[0] < edge[1]
    )
    return Risk(false_accept, false_reject)


def guard_band(model: Model, false_accept: float) -> float:
    """The narrowest guard band, 0 or more, whose false accepts are no more than wanted.

    Raises:
        RiskError: as `risks`; or a wanted risk that is not between 0 and 1.
    """
    _check(model, 0.0)
    if not 0.0 < false_accept < 1.0:
        raise RiskError(f"a risk of {false_accept:g} cannot be had; give a share above 0 and below 1")
    if risks(model).false_accept <= false_accept:
        return 0.0
    low = 0.0
    high = (model.upper - model.lower) / 2.0
    if not math.isfinite(high):
        high = model.uncertainty
        while risks(model, high).false_accept > false_accept:
            high *= 2.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        if risks(model, middle).false_accept > false_accept:
            low = middle
        else:
            high = middle
    return high


def _check(model: Model, guard: float) -> None:
    spreads = 0.0 < model.sd < math.inf and 0.0 < model.uncertainty < math.inf
    if not spreads or not math.isfinite(model.mean) or not math.isfinite(guard):
        raise RiskError("mean, standard deviation, uncertainty and guard band must be numbers, the spreads above 0")
    if not model.lower < model.upper or (math.isinf(model.lower) and math.isinf(model.upper)):
        raise RiskError(f"{model.lower:g} to {model.upper:g} are no limits; give one or two, the lower one below")


def _normal(z: float) -> float:
    """Probability of less."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def _accepted(y: float, accept: tuple[float, float], uncertainty: float) -> float:
    """Probability that a product of value y is measured within; from the tail that keeps its digits."""
    low, high = (accept[0] - y) / uncertainty, (accept[1] - y) / uncertainty
    return _normal(-low) - _normal(-high) if low > 0.0 else _normal(high) - _normal(low)


def _rejected(y: float, accept: tuple[float, float], uncertainty: float) -> float:
    return _normal((accept[0] - y) / uncertainty) + _normal((y - accept[1]) / uncertainty)


def _share(model: Model, between: tuple[float, float]) -> float:
    """Of all products, those between two values."""
    return _accepted(model.mean, between, model.sd)


def _integral(model: Model, between: tuple[float, float], weight: Callable[[float], float]) -> float:
    """Of the products' density times a weight, by Gauss and Legendre on panels no wider than either spread."""
    low = max(between[0], model.mean - REACH * model.sd)
    high = min(between[1], model.mean + REACH * model.sd)
    if low >= high:
        return 0.0
    scale = 1.0 / (model.sd * math.sqrt(2.0 * math.pi))
    return math.fsum(
        share * scale * math.exp(-0.5 * ((y - model.mean) / model.sd) ** 2) * weight(y)
        for y, share in _nodes(low, high, min(model.sd, model.uncertainty))
    )


def _nodes(low: float, high: float, panel: float) -> Iterator[tuple[float, float]]:
    """Places and weights of the quadrature from low to high."""
    places, weights = np.polynomial.legendre.leggauss(NODES)
    count = math.ceil((high - low) / panel)
    half = (high - low) / count / 2.0
    for number in range(count):
        centre = low + (2 * number + 1) * half
        for place, weight in zip(places, weights, strict=True):
            yield centre + half * float(place), half * float(weight)
