"""Cells against their modules by the standard library."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def highest_in_module(resistance: Sequence[float], modules: int) -> tuple[int, int, float]:
    """Cell and module, from 1, and the excess over the module's median in %, of the cell where that is largest."""
    length = len(resistance) // modules
    found = []
    for cell, ohm in enumerate(resistance):
        module = cell // length
        median = statistics.median(resistance[module * length : (module + 1) * length])
        found.append((100.0 * (ohm - median) / median, cell + 1, module + 1))
    excess, cell, module = max(found, key=lambda entry: entry[0])
    return cell, module, excess
