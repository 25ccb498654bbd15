"""Signatures of balancing channels: a bleeding cell reads low by the drop along its sense wires, its neighbours high.

A channel and its neighbour share a sense wire. The bleeding current falls along both wires of its own cell, and
lifts each neighbour by what falls along the shared one. Monitoring chips share no wire. What falls along wires is
only moved from cell to cell, so the mean of all cells stays where it was, but for the outermost wires of each chip.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


class ChannelSignatures(NamedTuple):
    """(series,) volts each: by how much a cell falls when it bleeds, and the larger rise of its neighbours then."""

    fall_v: F64
    neighbour_rise_v: F64


def channel_signatures(fall_v: F64, channels_per_chip: int) -> ChannelSignatures:
    """Pick each cell's signature out of the groups that bled in turn.

    What all cells have in common, as after a current, is taken off with the mean; the outermost wires of the chips
    leave some percent of a signature in it.

    Args:
        fall_v: (groups, series) voltage idle less voltage with group g bleeding; cell k (from 0) bleeds in group
            k mod groups.
        channels_per_chip: neighbours on different chips are none.

    Returns:
        NaN for a cell without value, and for the rise where no neighbour has one.
    """
    groups, series = fall_v.shape
    known = ~np.isnan(fall_v)
    common_v = np.where(known, fall_v, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    own_v = fall_v - common_v[:, None]
    cell = np.arange(series)
    group = cell % groups
    place = cell % channels_per_chip
    rise_v = np.full((2, series), np.nan)
    after_first = place > 0
    before_last = (place < channels_per_chip - 1) & (cell < series - 1)
    rise_v[0, after_first] = -own_v[group[after_first], cell[after_first] - 1]
    rise_v[1, before_last] = -own_v[group[before_last], cell[before_last] + 1]
    return ChannelSignatures(own_v[group, cell], np.fmax(rise_v[0], rise_v[1]))
