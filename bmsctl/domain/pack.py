"""What a station must know of a pack type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from bmsctl.domain.units import Volt


@dataclass(frozen=True, slots=True)
class PackSpec:
    """One pack type: `series` cell groups of `parallel` cells in `modules` modules.

    `u_max` is the highest working voltage, to which insulation limits refer. `effective_from`: the recipe
    holds for packs built on or after that day; None: from the beginning.
    """

    id: str
    part_number: str
    series: int
    parallel: int
    modules: int
    u_max: Volt
    u_nom: Volt
    effective_from: date | None = None
