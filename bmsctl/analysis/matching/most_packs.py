"""As many packs as windows allow, and a proof of how many there cannot be."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bmsctl.analysis.matching.draws import SEED
from bmsctl.analysis.matching.fill import fill, refill
from bmsctl.analysis.matching.modules import Matching, checked, told, z_scores
from bmsctl.analysis.matching.window_bound import most_packs_bound
from bmsctl.analysis.matching.windows import Windows, count_companions

ROUNDS = 2000
CANDIDATES, CANDIDATES_PER_SLOT = 16, 3
"""Modules that are looked at for a pack: so many, and so many more for each of its slots."""


def match_windows(capacity_ah: ArrayLike, dcir_ohm: ArrayLike, group: int, windows: Windows) -> Matching:
    """Many packs of modules that differ by no more than the windows.

    The same modules give the same matching, whatever the machine. The number of packs is not proven to be the
    greatest; `bound` is proven to be no smaller.

    Args:
        capacity_ah: (n,) in any order, contiguous or not.
        dcir_ohm: (n,) likewise.
        group: modules of a pack, 2 to n.
        windows: of each value.

    Raises:
        MatchingError: as `checked`, or a window is no share.
    """
    capacity, dcir = checked(capacity_ah, dcir_ohm, group)
    windows.require_possible()
    order = np.argsort(capacity, kind="stable")
    ascending, across = capacity[order], dcir[order]
    limits, keep = (float(windows.capacity), float(windows.dcir)), windows.keep()
    scale = _weight(windows.capacity), _weight(windows.dcir)
    companions, pack = np.empty(len(order), np.int64), np.full(len(order), -1)
    count_companions(ascending, across, keep, companions)
    hardest_first, most = np.argsort(companions, kind="stable"), CANDIDATES + CANDIDATES_PER_SLOT * group
    ease = companions.astype(np.float64)
    made = fill(ascending, across, ease, hardest_first, group, limits, keep, scale, most, pack)
    bound = most_packs_bound(ascending, across, companions, group, keep, made)
    made = refill(ascending, across, companions, group, limits, keep, ROUNDS, bound, most, pack, made, SEED)
    packs = order[np.argsort(pack, kind="stable")[len(pack) - made * group :]].reshape(made, group)
    return told(packs, len(order), z_scores(capacity, dcir), bound)


def _weight(window: float) -> float:
    """Of a difference, so that 1 is a window; of values that are alike anyway, nothing."""
    return 1.0 / window if window > 0.0 else 0.0
