"""Randomness that depends only on the seed, a channel's name and a number: never on who reads it, or how often."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]

BLOCK = 1024
"""Samples computed at once. Whole blocks only: a sample's last bit may not depend on where a read began."""

_WORD = (1 << 64) - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_STEPS = np.arange(1, BLOCK + 1, dtype=np.uint64) * np.uint64(_GOLDEN_GAMMA)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def draw(seed: int, channel: str) -> np.random.Generator:
    """A generator of its own for each channel, for values drawn once."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _number(channel, 16)])))


class Noise:
    """Standard normal deviates numbered from 0: a pure function of (seed, channel, number).

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (SplitMix64), 2014; Box and
    Muller, 1958.
    """

    __slots__ = ("_block", "_index", "_key")

    def __init__(self, seed: int, channel: str) -> None:
        self._key = _number(f"{seed}\0{channel}", 8)
        self._index = -1
        self._block: F64

    def one(self, n: int) -> float:
        """Deviate number `n`."""
        index, offset = divmod(n, BLOCK)
        if index != self._index:
            self._load(index)
        return self._block.item(offset)

    def normal(self, first: int, count: int) -> F64:
        """Deviates `first` to `first + count - 1`, (count,)."""
        out = np.empty(count)
        done = 0
        while done < count:
            index, offset = divmod(first + done, BLOCK)
            if index != self._index:
                self._load(index)
            piece = self._block[offset : offset + count - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
        return out

    def _load(self, index: int) -> None:
        """Compute block `index`; the newest one is kept."""
        start = np.uint64(self._key + index * BLOCK * _GOLDEN_GAMMA & _WORD)
        uniform = (_mixed(_STEPS + start) >> np.uint64(11)) * 2.0**-53
        radius = np.sqrt(-2.0 * np.log(1.0 - uniform[0::2]))
        angle = 2.0 * np.pi * uniform[1::2]
        self._block = np.empty(BLOCK)
        self._block[0::2] = radius * np.cos(angle)
        self._block[1::2] = radius * np.sin(angle)
        self._index = index


def _mixed(z: U64) -> U64:
    """SplitMix64's finalizer, in place."""
    z ^= z >> np.uint64(30)
    z *= _MIX_1
    z ^= z >> np.uint64(27)
    z *= _MIX_2
    z ^= z >> np.uint64(31)
    return z


def _number(text: str, size: int) -> int:
    """A number of `size` bytes that is the same for a text in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest(), "big")
