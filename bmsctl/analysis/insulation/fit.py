"""The most likely circuit behind a record: damped Gauss-Newton steps on the means of its blocks."""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.insulation.linear import factored, inverse, solve
from bmsctl.analysis.insulation.model import PARAMETERS, PRIOR_SD, model

STEPS_MAX = 40
DONE = 1e-4
"""Of the sum of squares in units of the noise: a step that gains less ends the fit; it is a hundredth of an sd."""
DAMPING = 1e-3


@kernel
def squares(y, blocks, variance, theta, out):  # type: ignore[no-untyped-def]
    """Sum of squares in units of the noise that the model leaves, and of the parameters in units of their prior."""
    total = 0.0
    for block in range(blocks):
        left = y[block] - out[block]
        total += left * left
    total /= variance
    for p in range(PARAMETERS):
        total += (theta[p] / PRIOR_SD[p]) ** 2
    return total


@kernel
def fit(y, blocks, variance, meter, grid, hum, theta, out, by, covariance):  # type: ignore[no-untyped-def]
    """Improve `theta` until nothing is gained.

    Args:
        y: (>= blocks,) share of the pack voltage at the minus pole.
        blocks: how many of them.
        variance: of each, by its noise.
        meter, grid, hum: as of `model`.
        theta: (PARAMETERS,) start values, and what was found.
        out: (>= blocks,) the model's means at what was found.
        by: (PARAMETERS, >= blocks) workspace.
        covariance: (PARAMETERS, PARAMETERS) of what was found, by the noise alone.

    Returns:
        The sum of squares that is left; infinite if there is no answer.

    Source: Levenberg-Marquardt, as in Nocedal and Wright, Numerical Optimization, section 10.3.
    """
    normal, damped = np.empty((PARAMETERS, PARAMETERS)), np.empty((PARAMETERS, PARAMETERS))
    factor, tried, step = np.zeros((PARAMETERS, PARAMETERS)), np.empty(PARAMETERS), np.empty(PARAMETERS)
    damping = DAMPING
    model(theta, meter, grid, hum, blocks, out, by)
    cost = squares(y, blocks, variance, theta, out)
    if not cost < np.inf:
        return np.inf
    _normal_equations(y, blocks, variance, theta, out, by, normal, step)
    gradient = step.copy()
    for _ in range(STEPS_MAX):
        damped[:] = normal
        for p in range(PARAMETERS):
            damped[p, p] *= 1.0 + damping
        if not factored(damped, factor):
            return np.inf
        step[:] = gradient
        solve(factor, step)
        tried[:] = theta + step
        model(tried, meter, grid, hum, blocks, out, by)
        gained = cost - squares(y, blocks, variance, tried, out)
        if gained > 0.0:
            theta[:] = tried
            cost -= gained
            damping *= 0.1
            _normal_equations(y, blocks, variance, theta, out, by, normal, gradient)
            if gained < DONE and damping < DAMPING:
                break
        elif gained > -DONE:
            break
        else:
            damping *= 10.0
    model(theta, meter, grid, hum, blocks, out, by)
    if not factored(normal, factor):
        return np.inf
    inverse(factor, covariance)
    return cost


@kernel
def _normal_equations(y, blocks, variance, theta, out, by, normal, gradient):  # type: ignore[no-untyped-def]
    for p in range(PARAMETERS):
        slope = 0.0
        for block in range(blocks):
            slope += by[p, block] * (y[block] - out[block])
        gradient[p] = slope / variance - theta[p] / (PRIOR_SD[p] * PRIOR_SD[p])
        for other in range(p + 1):
            product = 0.0
            for block in range(blocks):
                product += by[p, block] * by[other, block]
            normal[p, other] = normal[other, p] = product / variance
        normal[p, p] += 1.0 / (PRIOR_SD[p] * PRIOR_SD[p])
