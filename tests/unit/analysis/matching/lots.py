"""Modules as a plant makes them."""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.matching.modules import F64


def lot(count: int, seed: int) -> tuple[F64, F64]:
    """Capacities that differ by 1 % and resistances that differ by 3 %, correlated by -0.4."""
    z = np.random.default_rng(seed).multivariate_normal((0.0, 0.0), ((1.0, -0.4), (-0.4, 1.0)), count)
    return 157.0 * (1.0 + 0.01 * z[:, 0]), 1e-3 * (1.0 + 0.03 * z[:, 1])
