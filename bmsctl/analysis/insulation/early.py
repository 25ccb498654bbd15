"""Decide about a pack's insulation while its poles still move: look again and again, stop when sure enough.

At each look the circuit is fitted to what has been recorded so far. The pack is accepted when both conductances lie
below the limit's by so many standard deviations that all looks together accept a bad pack, or reject a good one, no
more often than stated (Bonferroni). No look decides while the data do not follow the circuit, and while they do not
tell mains of 50 Hz from 60 Hz, both must lead to the same verdict.

Source: A. Wald, Sequential Analysis (1947); O. J. Dunn, Multiple comparisons among means (1961).
"""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.insulation.fit import fit
from bmsctl.analysis.insulation.hum import MAINS_HZ, phases, retuned
from bmsctl.analysis.insulation.model import DELAY, GN, GP, HUM, PARAMETERS, Hum
from bmsctl.analysis.insulation.shares import shares
from bmsctl.analysis.insulation.start import start_by_levels, start_by_slopes

CHI2_MAX = 1.6
"""Scatter about the circuit over scatter by noise: above, something else than the circuit moves the poles."""
ACCEPT_ABOVE, REJECT_BELOW = 1.05, 1.0
"""Of the limit: guard against what no scatter shows, as the test resistor's tolerance and absorption."""
NEGATIVE_MAX = 0.1
"""Of the limit's conductance: a side that is less than none by more comes of a wrong resistor or voltmeter."""
FREQUENCY_FROM_S = 0.2
"""A shorter record does not tell the mains' frequency from its nominal one."""
UNLIKELY = 30.0
"""By so much more squares, in units of the noise, mains of one frequency are ruled out by those of the other."""
HOPELESS = 2.0
"""Squares never become fewer with more data: so many times what the whole record may leave is the end."""

UNDECIDED, ACCEPTED, REJECTED = 0, 1, 2
VERDICT, BLOCKS, CHI2, SCATTER, SIGMA, HERTZ = 0, 1, 2, 3, 4, 5
FIGURES = 6
"""Places of the figures of a decision: one of the verdicts above, blocks used, scatter about the circuit and of the
pack voltage over that of the noise, noise of a block's share, and frequency of the mains."""


@kernel
def fit_from(y, blocks, variance, meter, grid, centre_s, hum, theta, out, by, covariance):  # type: ignore[no-untyped-def]
    """Fit from `theta`, and from start values if it is NaN or leads to no circuit that the data follow; the cost."""
    found, matrix = theta.copy(), np.empty((PARAMETERS, PARAMETERS))
    segments = grid.segments
    best = np.inf
    for source in range(3):
        ready = True
        if source == 0:
            ready = not np.isnan(found[GP])
        elif source == 1:
            found[:] = 0.0
            ready = start_by_slopes(y, blocks, centre_s, segments.begin_s, segments.state, segments.first, meter, found)
        else:
            found[:] = 0.0
            ready = start_by_levels(y, blocks, grid.size * grid.sample_s, segments.state, segments.first, meter, found)
        if ready:
            cost = fit(y, blocks, variance, meter, grid, hum, found, out, by, matrix)
            if cost < best:
                best = cost
                theta[:], covariance[:] = found, matrix
        if best < CHI2_MAX * blocks:
            break
    return best


@kernel
def fit_tuned(y, blocks, variance, meter, grid, centre_s, hertz, hum, theta, out, by, covariance):  # type: ignore[no-untyped-def]
    """Fit with the mains near a frequency; cost and frequency. A NaN cost or none is infinite, and `theta` then NaN."""
    phases(hertz, centre_s, blocks, hum)
    cost = fit_from(y, blocks, variance, meter, grid, centre_s, hum, theta, out, by, covariance)
    if not cost < np.inf:
        theta[:] = np.nan
        return np.inf, hertz
    if centre_s[blocks - 1] > FREQUENCY_FROM_S:
        for _ in range(3):
            tuned = retuned(theta, covariance, hertz)
            if abs(tuned - hertz) < 1e-3:
                break
            hertz = tuned
            theta[HUM + 2 :] = 0.0
            phases(hertz, centre_s, blocks, hum)
            cost = fit(y, blocks, variance, meter, grid, hum, theta, out, by, covariance)
    return cost, hertz


@kernel
def verdict_of(theta, covariance, chi2, limit, z_accept, z_reject):  # type: ignore[no-untyped-def]
    """What a fit says by itself."""
    if not chi2 <= CHI2_MAX:
        return UNDECIDED
    wide = np.sqrt(max(1.0, chi2))
    plus_sd, minus_sd = wide * np.sqrt(covariance[GP, GP]), wide * np.sqrt(covariance[GN, GN])
    plus, minus = theta[GP], theta[GN]
    if min(plus + z_accept * plus_sd, minus + z_accept * minus_sd) < -NEGATIVE_MAX * limit:
        return UNDECIDED
    if max(plus + z_accept * plus_sd, minus + z_accept * minus_sd) * ACCEPT_ABOVE < limit:
        return ACCEPTED
    if max(plus - z_reject * plus_sd, minus - z_reject * minus_sd) * REJECT_BELOW > limit:
        return REJECTED
    return UNDECIDED


@kernel
def decide(blocks, grid, centre_s, meter, limit, looks, z_accept, z_reject, theta, covariance, figures):  # type: ignore[no-untyped-def]
    """Look until decided.

    Args:
        blocks: a `blocks.Blocks`.
        grid: a `blocks.Grid`; `centre_s` its blocks' middles.
        meter: conductance of each voltmeter over the test resistor's.
        limit: conductance of the smallest good resistance over the test resistor's.
        looks: (K,) numbers of blocks, rising.
        z_accept: standard deviations by which both conductances must be below the limit's.
        z_reject: standard deviations by which one must be above it.
        theta: (PARAMETERS,) of the last fit, to write into; NaN if there is none.
        covariance: (PARAMETERS, PARAMETERS) of it by the noise alone, to write into.
        figures: (FIGURES,) to write into, as placed above.
    """
    most, kinds = looks[-1], len(MAINS_HZ)
    y, out, by = np.empty(most), np.empty(most), np.empty((PARAMETERS, most))
    hum = Hum(np.empty(most), np.empty(most), np.empty(most))
    thetas, covariances = np.full((kinds, PARAMETERS), np.nan), np.full((kinds, PARAMETERS, PARAMETERS), np.nan)
    costs, hertz = np.zeros(kinds), np.array(MAINS_HZ)
    figures[:] = np.nan
    figures[VERDICT] = UNDECIDED
    for count in looks:
        variance, scatter = shares(blocks, grid.size, centre_s, count, y)
        if not scatter <= CHI2_MAX and count < most:
            continue
        for kind in range(kinds):
            costs[kind], hertz[kind] = fit_tuned(
                y, count, variance, meter, grid, centre_s, hertz[kind], hum, thetas[kind], out, by, covariances[kind]
            )
        best = np.argmin(costs)
        theta[:], covariance[:] = thetas[best], covariances[best]
        chi2 = costs[best] / max(1, count - PARAMETERS + DELAY)
        figures[BLOCKS], figures[CHI2], figures[SCATTER] = count, chi2, scatter
        figures[SIGMA], figures[HERTZ] = np.sqrt(variance), hertz[best]
        if not costs[best] < np.inf or not scatter <= CHI2_MAX:
            continue
        if costs[best] > HOPELESS * CHI2_MAX * looks[-1]:
            return
        verdict = verdict_of(theta, covariance, chi2, limit, z_accept, z_reject)
        for kind in range(kinds):
            if costs[kind] < costs[best] + UNLIKELY:
                other = costs[kind] / max(1, count - PARAMETERS + DELAY)
                if verdict_of(thetas[kind], covariances[kind], other, limit, z_accept, z_reject) != verdict:
                    verdict = UNDECIDED
        if verdict != UNDECIDED:
            figures[VERDICT] = verdict
            return
