"""Start values of the fit, two ways: from the slopes of a slow transient, and from the levels of one that is over."""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.insulation.linear import factored, solve
from bmsctl.analysis.insulation.model import GN, GP, LN_K, Z0


@kernel
def start_by_slopes(y, blocks, centre_s, begin_s, state, first, meter, theta):  # type: ignore[no-untyped-def]
    """Put z0, gp, gn and ln k into `theta`; False if the data do not give them.

    The balance of currents, integrated, is linear in z0, k gp, k gn and k, and the integrals are those of the data:

        z(t) = z0 + k gp Int(1 - z) - k gn Int(z) + k Int[gv (1 - 2 z) + sP (1 - z) - sN z]

    Source: J. Jacquelin, Régressions et équations intégrales (2009).
    """
    normal, right, row, factor = np.zeros((4, 4)), np.zeros(4), np.zeros(4), np.zeros((4, 4))
    row[0] = 1.0
    time_s, z = 0.0, y[0]
    for segment in range(len(state)):
        here, until = state[segment], min(first[segment + 1], blocks)
        to_plus, to_minus = (1.0 if here == 2 else 0.0), (1.0 if here == 1 else 0.0)
        for block in range(first[segment], until + 1):
            if block < until:
                next_s, next_z = centre_s[block], y[block]
            elif segment + 1 < len(state):
                next_s, next_z = begin_s[segment + 1], z
            else:
                break
            if block == first[segment] and block < until:
                z = next_z
            span_s, middle = next_s - time_s, 0.5 * (z + next_z)
            row[1] += (1.0 - middle) * span_s
            row[2] -= middle * span_s
            row[3] += (meter * (1.0 - 2.0 * middle) + to_plus * (1.0 - middle) - to_minus * middle) * span_s
            time_s, z = next_s, next_z
            if block < until:
                for i in range(4):
                    right[i] += row[i] * next_z
                    for j in range(4):
                        normal[i, j] += row[i] * row[j]
    if not factored(normal, factor):
        return False
    solve(factor, right)
    if not right[3] > 0.0:
        return False
    theta[Z0], theta[GP], theta[GN], theta[LN_K] = right[0], right[1] / right[3], right[2] / right[3], np.log(right[3])
    return True


@kernel
def start_by_levels(y, blocks, block_s, state, first, meter, theta):  # type: ignore[no-untyped-def]
    """Put z0, gp, gn and ln k into `theta`; False if the resistor was not at both poles, or moved nothing.

    The last block at either pole is taken for the level z1 (at minus) or z2 (at plus) that the poles settle at:
    gp + gn + 2 gv + 1 = 1 / (z2 - z1). The rate is set to where it is over within a few blocks.
    """
    at_minus = at_plus = np.nan
    for segment in range(len(state)):
        last = min(first[segment + 1], blocks) - 1
        if last >= first[segment]:
            if state[segment] == 1:
                at_minus = y[last]
            elif state[segment] == 2:
                at_plus = y[last]
    if not at_plus > at_minus:
        return False
    total = 1.0 / (at_plus - at_minus)
    theta[Z0], theta[GP] = y[0], at_minus * total - meter
    theta[GN] = total - 1.0 - at_minus * total - meter
    theta[LN_K] = -np.log(2.0 * block_s * total)
    return True
