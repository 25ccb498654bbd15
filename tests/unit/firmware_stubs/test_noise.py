"""Noise is a pure function of seed, channel and number, and it is normal."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_stubs.noise import BLOCK, Noise, draw

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


def split_mix(state: int) -> int:
    """SplitMix64's output for a state, in Python integers."""
    z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def deviate(seed: int, channel: str, n: int) -> float:
    """Obvious twin of `Noise.one`."""
    key = int.from_bytes(hashlib.blake2b(f"{seed}\0{channel}".encode(), digest_size=8).digest(), "big")
    first, second = (split_mix((key + (n // 2 * 2 + k) * GAMMA) & MASK) >> 11 for k in (1, 2))
    radius = math.sqrt(-2.0 * math.log(1.0 - first * 2.0**-53))
    angle = 2.0 * math.pi * second * 2.0**-53
    return radius * (math.sin(angle) if n % 2 else math.cos(angle))


def test_the_twin_is_split_mix_64() -> None:
    # Published outputs of the reference implementation (Vigna, splitmix64.c) for the seed 1234567.
    outputs = [split_mix((1234567 + k * GAMMA) & MASK) for k in (1, 2, 3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("n", [0, 1, 2, 511, 512, 513, 100_000, 4_000_000_000])
def test_one_matches_the_twin(n: int) -> None:
    assert Noise(7, "bms.cell").one(n) == pytest.approx(deviate(7, "bms.cell", n), abs=1e-12)


@given(st.integers(0, 3 * BLOCK), st.integers(0, 3 * BLOCK), st.integers(0, 6 * BLOCK))
def test_a_deviate_does_not_depend_on_how_it_is_read(first: int, count: int, other: int) -> None:
    whole = Noise(1, "x").normal(0, 6 * BLOCK)
    noise = Noise(1, "x")
    noise.one(other)
    piece = noise.normal(first, count)
    assert piece.tobytes() == whole[first : first + count].tobytes()
    assert all(noise.one(first + k) == piece[k] for k in range(0, count, 97))


@given(st.integers(1, 3 * BLOCK), st.integers(0, 2 * BLOCK), st.integers(0, BLOCK))
def test_a_deviate_does_not_depend_on_how_many_are_computed_at_once(size: int, first: int, count: int) -> None:
    expected = Noise(1, "x").normal(first, count)
    assert Noise(1, "x", size).normal(first, count).tobytes() == expected.tobytes()


def test_what_is_handed_out_is_the_callers() -> None:
    noise = Noise(1, "x")
    kept = noise.normal(3, 5).copy()
    noise.normal(3, 5)[:] = 0.0
    assert noise.normal(3, 5).tobytes() == kept.tobytes()


def test_the_distribution_is_standard_normal() -> None:
    z = Noise(2, "digitizer.v_pos").normal(0, 200_000)
    assert abs(z.mean()) < 4.0 / math.sqrt(len(z))
    assert z.std() == pytest.approx(1.0, abs=0.01)
    assert (z**3).mean() == pytest.approx(0.0, abs=0.03)
    assert (z**4).mean() == pytest.approx(3.0, abs=0.06)
    for k in (1, 2, 3, BLOCK):
        assert abs((z[k:] * z[:-k]).mean()) < 4.0 / math.sqrt(len(z))


def test_channels_and_seeds_are_unrelated() -> None:
    a, b, c = (noise.normal(0, 20_000) for noise in (Noise(1, "a"), Noise(1, "b"), Noise(2, "a")))
    for x, y in ((a, b), (a, c), (b, c)):
        assert abs(np.corrcoef(x, y)[0, 1]) < 0.03


def test_draw_is_the_same_in_every_process() -> None:
    script = "from firmware_stubs.noise import draw; print(draw(5, 'pack.soc').standard_normal(3).tobytes().hex())"
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "77"}
    )
    assert other.stdout.strip() == draw(5, "pack.soc").standard_normal(3).tobytes().hex()


def test_draw_differs_by_seed_and_channel() -> None:
    values = {float(draw(seed, channel).random()) for seed in (0, 1) for channel in ("a", "b")}
    assert len(values) == 4
