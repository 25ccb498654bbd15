"""A random generator of our own, in whole numbers: the same draws on every machine, compiled and interpreted."""

from __future__ import annotations

from bmsctl.analysis.compiled import kernel

BITS = 32
SEED = 0x9E3779B9


@kernel
def draw(state: int) -> int:
    """The next of the 2^32 - 1 states, all from 1 on: Marsaglia, "Xorshift RNGs", 2003.

    `(state * n) >> BITS` is a number below n.
    """
    state ^= (state << 13) & 0xFFFFFFFF
    state ^= state >> 17
    return state ^ ((state << 5) & 0xFFFFFFFF)
