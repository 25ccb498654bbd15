"""Which modules look exchanged, cell by cell and pair by pair, by loops and the standard library."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import combinations

Modules = Sequence[Sequence[float]]


def exchange_ratios(
    incoming_v: Modules, measured_v: Modules, noise_v: float, clip: float
) -> dict[tuple[int, int], float]:
    """Log-likelihood ratio of exchanged against as recorded, by pair of slots from 1."""
    recorded, seen = [_centred(cells) for cells in incoming_v], [_centred(cells) for cells in measured_v]

    def log_likelihood(slot: int, module: int) -> float:
        """Of what is seen in a slot, if that module is in it."""
        total = 0.0
        for is_v, was_v in zip(seen[slot], recorded[module], strict=True):
            if not math.isnan(is_v):
                total -= 0.5 * min(abs(is_v - was_v) / noise_v, clip) ** 2
        return total

    return {
        (one + 1, other + 1): log_likelihood(one, other)
        + log_likelihood(other, one)
        - log_likelihood(one, one)
        - log_likelihood(other, other)
        for one, other in combinations(range(len(seen)), 2)
    }


def _centred(cells: Sequence[float]) -> list[float]:
    known = [cell for cell in cells if not math.isnan(cell)]
    median = statistics.median(known) if known else 0.0
    return [cell - median for cell in cells]
