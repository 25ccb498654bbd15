"""Open-circuit curves of the shapes cells have, and packs of cells."""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.balancing.bleed import Cells
from bmsctl.analysis.balancing.ocv import Curve, ocv_curve

STEEP = ocv_curve([0.0, 0.1, 0.5, 0.9, 1.0], [3.0, 3.4, 3.65, 4.05, 4.18])
FLAT = ocv_curve([0.0, 0.05, 0.2, 0.4, 0.6, 0.95, 1.0], [2.5, 3.1, 3.28, 3.3, 3.3, 3.34, 3.6])
UNEVEN = ocv_curve([0.0, 0.013, 0.3177, 0.31771, 0.82, 1.0], [2.5, 3.0, 3.5, 3.500001, 3.9, 4.2])
PARTIAL = ocv_curve([0.2, 0.9], [3.4, 4.0])
CURVES = {"steep": STEEP, "flat": FLAT, "uneven": UNEVEN, "partial": PARTIAL}


def pack(cells: int, seed: int, curve: Curve = STEEP) -> Cells:
    """Cells that differ by a few percent, in the upper half of the curve."""
    random = np.random.default_rng(seed)
    middle = 0.4 * curve.soc[0] + 0.6 * curve.soc[-1]
    return Cells(
        random.normal(157.0, 2.0, cells),
        middle + random.uniform(-0.03, 0.03, cells),
        random.normal(33.0, 0.3, cells),
    )
