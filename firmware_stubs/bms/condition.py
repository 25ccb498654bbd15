"""What can be wrong with one unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class BmsCondition:
    """What is wrong with a unit; the default is nothing.

    software_version, pack_serial: instead of what its bill of materials says. dtcs: codes that keep coming back.
    imd_gain, current_gain, current_offset_a: on top of the unit's own errors. quiescent_current_a: mean current
    asleep, instead of the drawn one. sensor_offset_k, sensor_open: temperature sensors, from 1. chips_swapped:
    monitoring chips, from 1, in each other's place in the daisy chain. chip_cells: cells that a chip, from 1, finds
    instead of all that belong to it.
    """

    software_version: str | None = None
    pack_serial: str | None = None
    dtcs: tuple[int, ...] = ()
    imd_gain: float = 1.0
    current_gain: float = 1.0
    current_offset_a: float = 0.0
    quiescent_current_a: float | None = None
    sensor_offset_k: Mapping[int, float] = field(default_factory=dict)
    sensor_open: frozenset[int] = frozenset()
    chips_swapped: tuple[int, int] | None = None
    chip_cells: Mapping[int, int] = field(default_factory=dict)
