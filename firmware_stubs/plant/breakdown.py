"""Insulation of the outer poles that breaks down: when an arc to chassis strikes, and when it goes out."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from firmware_stubs.plant.circuit import ARCS, SWITCHES
from firmware_stubs.plant.network import Node, Segment

RECOVERED_V = 50.0
"""Below which an arc goes out."""

_AGES_S = np.append(0.0, np.geomspace(1e-6, 1e3, 400))
_HALVINGS = 50


class Flash(NamedTuple):
    """An arc strikes (`closed`) or goes out."""

    t_s: float
    name: str
    closed: bool


def next_flash(segment: Segment, breakdown_v: float) -> Flash | None:
    """The first arc to strike or go out in this segment, None if none does; one burns at a time."""
    burning = [name for name in ARCS if segment.state & SWITCHES[name]]
    level_v, strikes = (RECOVERED_V, False) if burning else (breakdown_v, True)
    crossings = [(_crossed_s(segment, ARCS[name], level_v, above=strikes), name) for name in burning or ARCS]
    t_s, name = min(crossings)
    return Flash(t_s, name, strikes) if t_s < math.inf else None


def _crossed_s(segment: Segment, node: Node, level_v: float, *, above: bool) -> float:
    """When the voltage to chassis of `node` is first above, or below, a level; infinite for never."""
    start_s = max(segment.start_s, 0.0)
    times_s = start_s + _AGES_S
    hits = np.flatnonzero((np.abs(segment.waveform(times_s, node, Node.PE)) > level_v) == above)
    if len(hits) == 0:
        return math.inf
    first = int(hits[0])
    if first == 0:
        return start_s
    before_s, after_s = float(times_s[first - 1]), float(times_s[first])
    for _ in range(_HALVINGS):
        middle_s = 0.5 * (before_s + after_s)
        if (abs(segment.voltage(middle_s, node, Node.PE)) > level_v) == above:
            after_s = middle_s
        else:
            before_s = middle_s
    return after_s
