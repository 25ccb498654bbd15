"""A pack's poles as an honest plant: matrix exponentials of the whole circuit, disturbed in every way a station knows.

Nothing here is shared with the analysis. The state is chassis voltage, the slow half of the dielectric, the front
end's low pass, a one, and sine and cosine of the mains that drives the chassis through a stray capacitance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I16 = NDArray[np.int16]
I64 = NDArray[np.int64]

N = 6
X, SLOW, READ, ONE, SINE, COSINE = range(N)


class Packs(NamedTuple):
    """What each pack and its station are, (packs,) each; SI units, shares as ratios.

    `start`: share of the voltage at the minus pole in the beginning. `late_1_s`, `late_2_s`: contacts after they are
    said to have changed. `gain_*`, `r0_gain`: true over stated. `drift`: of the pack voltage a second. `bits`: of a
    converter over +-`SPAN_V`. `step_v` at `step_s`: a charge thrown on the chassis. From `open_s` on, for `open_for_s`,
    one reading hangs loose and shows `open_share` of itself; after each change the resistor's contact bounces for
    `bounce_s`.
    """

    plus_ohm: F64
    minus_ohm: F64
    farad: F64
    volts: F64
    start: F64
    noise_v: F64
    hum_v: F64
    hum_hz: F64
    hum_phase: F64
    lag_s: F64
    slow_share: F64
    slow_s: F64
    late_1_s: F64
    late_2_s: F64
    r0_gain: F64
    gain_pos: F64
    gain_neg: F64
    drift: F64
    bits: F64
    step_v: F64
    step_s: F64
    open_s: F64
    open_for_s: F64
    open_share: F64
    bounce_s: F64


SPAN_V = 1000.0


@njit(cache=True)
def exponential(matrix, time_s):  # type: ignore[no-untyped-def]
    """exp(matrix time) by a Taylor series of a piece so small that eight terms do, squared up again."""
    norm = 0.0
    for i in range(N):
        row = 0.0
        for j in range(N):
            row += abs(matrix[i, j]) * abs(time_s)
        norm = max(norm, row)
    halvings = max(0, int(np.ceil(np.log2(max(norm, 1e-300)))) + 5)
    piece = matrix * (time_s / 2.0**halvings)
    result, term = np.eye(N), np.eye(N)
    for order in range(1, 9):
        term = product(term, piece) / order
        result += term
    for _ in range(halvings):
        result = product(result, result)
    return result


@njit(cache=True)
def product(a, b):  # type: ignore[no-untyped-def]
    out = np.zeros((N, N))
    for i in range(N):
        for k in range(N):
            for j in range(N):
                out[i, j] += a[i, k] * b[k, j]
    return out


@njit(cache=True)
def move(matrix, state):  # type: ignore[no-untyped-def]
    """The state a step later, in its place; its last three do not depend on the first."""
    x, slow, read = state[X], state[SLOW], state[READ]
    sine, cosine = state[SINE], state[COSINE]
    for row in (X, SLOW, READ):
        state[row] = matrix[row, X] * x + matrix[row, SLOW] * slow + matrix[row, READ] * read
        state[row] += matrix[row, ONE] * state[ONE] + matrix[row, SINE] * sine + matrix[row, COSINE] * cosine
    for row in (SINE, COSINE):
        state[row] = matrix[row, SINE] * sine + matrix[row, COSINE] * cosine


@njit(cache=True)
def circuit(place, pack, packs, test_ohm, meter_ohm):  # type: ignore[no-untyped-def]
    """The state's rate of change with the resistor at one place."""
    plus = 1.0 / packs.plus_ohm[pack] + 1.0 / meter_ohm
    minus = 1.0 / packs.minus_ohm[pack] + 1.0 / meter_ohm
    test = 1.0 / (test_ohm * packs.r0_gain[pack])
    plus += test if place == 2 else 0.0
    minus += test if place == 1 else 0.0
    slow_f = packs.farad[pack] * packs.slow_share[pack]
    fast_f = packs.farad[pack] - slow_f
    omega = 2.0 * np.pi * packs.hum_hz[pack]
    a = np.zeros((N, N))
    a[X, X] = -(plus + minus) / fast_f
    a[X, ONE] = packs.volts[pack] * plus / fast_f
    a[X, COSINE] = packs.hum_v[pack] * omega
    if slow_f > 0.0:
        through = slow_f / packs.slow_s[pack]
        a[X, X] -= through / fast_f
        a[X, SLOW] += through / fast_f
        a[SLOW, X], a[SLOW, SLOW] = 1.0 / packs.slow_s[pack], -1.0 / packs.slow_s[pack]
    lag_s = max(packs.lag_s[pack], 1e-6)
    a[READ, X], a[READ, READ] = 1.0 / lag_s, -1.0 / lag_s
    a[SINE, COSINE], a[COSINE, SINE] = omega, -omega
    return a


@njit(cache=True)
def quantised(volts, gain, bits):  # type: ignore[no-untyped-def]
    """Counts of 16 bits, as a converter of fewer bits gives them in its upper ones."""
    coarse = 2.0 ** (16.0 - bits)
    counts = np.rint(volts * gain / SPAN_V * 32768.0 / coarse) * coarse
    return min(max(counts, -32768.0), 32767.0)


@njit(cache=True)
def bounced(time_s, edges_s, bounce_s):  # type: ignore[no-untyped-def]
    """Whether the contact that closed last is open again: every other fifth of the time it bounces for."""
    for edge_s in edges_s:
        if 0.0 <= time_s - edge_s < bounce_s:
            return int(5.0 * (time_s - edge_s) / bounce_s) % 2 == 1
    return False


@njit(cache=True, parallel=True)
def recorded(packs, seeds, switch_s, switch_state, test_ohm, meter_ohm, rate_hz, pos, neg):  # type: ignore[no-untyped-def]
    """Fill (packs, n) counts of both poles; each pack from its own seed, whatever thread it is on."""
    samples, dt = pos.shape[1], 1.0 / rate_hz
    for pack in prange(len(seeds)):
        np.random.seed(seeds[pack])
        late_s = np.array([0.0, packs.late_1_s[pack], packs.late_2_s[pack]])
        edges_s = switch_s.copy()
        for edge in range(1, len(edges_s)):
            edges_s[edge] += late_s[switch_state[edge]]
        matrices = np.zeros((3, N, N))
        steps = np.zeros((3, N, N))
        for place in range(3):
            matrices[place] = circuit(place, pack, packs, test_ohm, meter_ohm)
            steps[place] = exponential(matrices[place], dt)
        state = np.zeros(N)
        state[X] = state[SLOW] = state[READ] = packs.start[pack] * packs.volts[pack]
        state[ONE] = 1.0
        state[SINE], state[COSINE] = np.sin(packs.hum_phase[pack]), np.cos(packs.hum_phase[pack])
        segment, thrown = 0, False
        bounce_s, loose = packs.bounce_s[pack], np.random.random() < 0.5
        for i in range(samples):
            now = i * dt
            place = switch_state[segment]
            if i > 0:
                before = now - dt
                if segment + 1 < len(edges_s) and edges_s[segment + 1] <= now:
                    part = edges_s[segment + 1] - before
                    move(exponential(matrices[place], part), state)
                    segment += 1
                    move(exponential(matrices[switch_state[segment]], dt - part), state)
                elif bounce_s > 0.0 and bounced(before, edges_s, bounce_s):
                    move(steps[0], state)
                else:
                    move(steps[place], state)
            if not thrown and now >= packs.step_s[pack]:
                state[X] += packs.step_v[pack]
                thrown = True
            grown = 1.0 + packs.drift[pack] * now
            minus_v = state[READ] * grown
            plus_v = packs.volts[pack] * grown - minus_v
            if packs.open_s[pack] <= now < packs.open_s[pack] + packs.open_for_s[pack]:
                if loose:
                    plus_v *= packs.open_share[pack]
                else:
                    minus_v *= packs.open_share[pack]
            plus_v += packs.noise_v[pack] * np.random.standard_normal()
            minus_v += packs.noise_v[pack] * np.random.standard_normal()
            pos[pack, i] = quantised(plus_v, packs.gain_pos[pack], packs.bits[pack])
            neg[pack, i] = quantised(minus_v, packs.gain_neg[pack], packs.bits[pack])
