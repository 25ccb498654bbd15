"""Self-discharge of cells: the K value from two rest voltages, or as a slope over several."""

from __future__ import annotations

from bmsctl.analysis.self_discharge.relative import HOUR_S, SelfDischarge, relative_self_discharge

__all__ = ["HOUR_S", "SelfDischarge", "relative_self_discharge", "warm_up"]


def warm_up() -> None:
    """Compile the kernels into the cache."""
    from bmsctl.analysis.self_discharge import regression

    regression.warm_up()
