"""Randomness that depends only on the seed, a channel's name and a number: never on who reads it, or how often."""

from __future__ import annotations

import functools
import hashlib

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]

BLOCK = 1024
"""Samples computed at once. Whole blocks only: a sample's last bit may not depend on where a read began."""

GRAIN = 16
"""Blocks are multiples of this, so that they fill a processor's vectors whatever their size."""

_WORD = (1 << 64) - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_SHIFT_1, _SHIFT_2, _SHIFT_3, _TO_53_BITS = (np.uint64(bits) for bits in (30, 27, 31, 11))
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def draw(seed: int, channel: str) -> np.random.Generator:
    """A generator of its own for each channel, for values drawn once."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _number(channel, 16)])))


class Noise:
    """Standard normal deviates numbered from 0: a pure function of (seed, channel, number).

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (SplitMix64), 2014; Box and
    Muller, 1958.
    """

    __slots__ = ("_block", "_index", "_key", "_size", "_steps")

    def __init__(self, seed: int, channel: str, size: int = BLOCK) -> None:
        """`size`: about so many are read at once; it changes no deviate."""
        self._key = _number(f"{seed}\0{channel}", 8)
        self._index = -1
        self._size = size = -(-size // GRAIN) * GRAIN
        self._steps = _steps(size)
        self._block: F64

    def one(self, n: int) -> float:
        """Deviate number `n`."""
        index, offset = divmod(n, self._size)
        if index != self._index:
            self._load(index)
        return self._block.item(offset)

    def normal(self, first: int, count: int) -> F64:
        """Deviates `first` to `first + count - 1`, (count,)."""
        index, offset = divmod(first, self._size)
        if offset + count <= self._size:
            if index != self._index:
                self._load(index)
            return self._block[offset : offset + count].copy()
        out = np.empty(count)
        done = 0
        while done < count:
            index, offset = divmod(first + done, self._size)
            if index != self._index:
                self._load(index)
            piece = self._block[offset : offset + count - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
        return out

    def _load(self, index: int) -> None:
        """Compute block `index`; the newest one is kept."""
        words = self._steps + np.uint64(self._key + index * self._size * _GOLDEN_GAMMA & _WORD)
        _mix(words)
        words >>= _TO_53_BITS
        uniform = words.astype(np.float64).reshape(-1, 2).T.copy()
        uniform *= 2.0**-53
        radius, angle = uniform
        np.subtract(1.0, radius, out=radius)
        np.log(radius, out=radius)
        radius *= -2.0
        np.sqrt(radius, out=radius)
        angle *= 2.0 * np.pi
        self._block = block = np.empty(self._size)
        np.multiply(radius, np.cos(angle), out=block[0::2])
        np.multiply(radius, np.sin(angle), out=block[1::2])
        self._index = index


@functools.cache
def _steps(size: int) -> U64:
    """(size,) how far apart the generator's states are, from the key."""
    return np.arange(1, size + 1, dtype=np.uint64) * np.uint64(_GOLDEN_GAMMA)


def _mix(z: U64) -> None:
    """SplitMix64's finalizer, in place."""
    z ^= z >> _SHIFT_1
    z *= _MIX_1
    z ^= z >> _SHIFT_2
    z *= _MIX_2
    z ^= z >> _SHIFT_3


def _number(text: str, size: int) -> int:
    """A number of `size` bytes that is the same for a text in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest(), "big")
