"""Statistical process control: moments, capability, individuals charts, Nelson's rules, comparison of groups."""

from __future__ import annotations


def warm_up() -> None:
    """Compile the kernels into the cache."""
    from bmsctl.analysis.spc import keyed

    keyed.warm_up()
