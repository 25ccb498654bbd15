"""The message sets a BMS may speak, as far as a recipe must name one; their frames are in `bmsctl.protocols`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Channels(NamedTuple):
    """How many of each there are: cell groups, temperature sensors, bars between modules."""

    cells: int
    temperatures: int
    busbars: int


MESSAGE_SETS: Mapping[str, Channels] = MappingProxyType(
    {"ampr_small": Channels(96, 12, 3), "ampr_medium": Channels(96, 24, 11)}
)
"""By name, what each has room for; a pack may have less."""
