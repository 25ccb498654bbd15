"""What a station must know of a pack type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from bmsctl.domain.message_sets import Channels
from bmsctl.domain.units import Volt


@dataclass(frozen=True, slots=True)
class PackSpec:
    """One pack type: `series` cell groups of `parallel` cells in `modules` modules.

    `u_max` is the highest working voltage, to which insulation limits refer. `effective_from`: the recipe
    holds for packs built on or after that day; None: from the beginning. `sensors_per_module` measure temperature.
    `message_set` is what its BMS speaks, one of `MESSAGE_SETS`; None: unknown.
    """

    id: str
    part_number: str
    series: int
    parallel: int
    modules: int
    u_max: Volt
    u_nom: Volt
    effective_from: date | None = None
    sensors_per_module: int = 0
    message_set: str | None = None

    @property
    def channels(self) -> Channels:
        """What its BMS measures; bars are those between modules."""
        return Channels(self.series, self.modules * self.sensors_per_module, self.modules - 1)
