"""The generator is Marsaglia's, and even."""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.matching.draws import BITS, SEED, draw


def test_compiled_and_interpreted_draw_the_same() -> None:
    compiled = interpreted = SEED
    for _ in range(1000):
        compiled, interpreted = draw(compiled), draw.py_func(interpreted)
        assert compiled == interpreted
        assert 0 < compiled < 1 << BITS


def test_the_first_draw_is_that_of_32_bit_words() -> None:
    word = np.array([SEED], np.uint32)
    word ^= word << np.uint32(13)
    word ^= word >> np.uint32(17)
    word ^= word << np.uint32(5)
    assert draw(SEED) == int(word[0])


def test_numbers_below_ten_are_equally_frequent() -> None:
    state, counts = SEED, np.zeros(10)
    for _ in range(20000):
        state = draw(state)
        counts[(state * 10) >> BITS] += 1
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)
    assert draw.targetoptions["nogil"]
