"""Open-circuit voltage over state of charge, a straight line between points, and what can be told from it.

A cell that bleeds through a resistor R loses charge by dq/dt = -V(s)/R, so from s to s* it takes

    t = 3600 R Q (F(s) - F(s*)),    F(s) = integral of ds/V(s).

Within a segment that begins at (s_k, V_k) with the slope b, and for f = s - s_k,

    F(s) = F_k + f/V_k * ln(1 + u)/u,    u = b f/V_k,

where ln(1 + u)/u is taken from its series, which is exact on a flat segment. Segments are cut into pieces on which u
is small enough for that; the curve stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmsctl.errors import BmsctlError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

GROWTH_MAX = 1 / 256
"""Of the voltage within a piece: the series of `bleed_times` is then exact to the last digit."""
BUCKETS_MAX = 4096
GRID_MAX = 200
"""Curves are mostly measured at equal distances of SOC; pieces of equal width need no search."""
GRID_NEAR = 1e-9
BEST_READING_V = 1e-3
"""What a monitoring chip's reading of a cell at rest is wrong by, at best."""


class BalancingError(BmsctlError):
    """What was given cannot be planned with; the text says why."""


class Curve(NamedTuple):
    """A curve of n points, as the kernels read it.

    soc, voltage_v: (n,) the points.
    pieces: (pieces + 1, 4) s_k, F_k, 1/V_k and b/V_k of each piece; the last row is only where the curve ends.
    first_piece: (buckets,) the SOC range in equal parts, and the piece in which each part begins.
    steps: how many pieces further a SOC of the same part may lie at most; 0 where parts and pieces are the same.
    """

    soc: F64
    voltage_v: F64
    pieces: F64
    first_piece: I64
    steps: int

    def voltage_at(self, soc: ArrayLike) -> F64:
        """Voltage at a SOC; NaN outside the curve."""
        found: F64 = np.interp(np.asarray(soc, np.float64), self.soc, self.voltage_v, np.nan, np.nan)
        return found


class SocRange(NamedTuple):
    """All states of charge that a voltage may stand for, (n,) each; NaN where the curve does not have the voltage."""

    low: F64
    high: F64


def ocv_curve(soc: ArrayLike, voltage_v: ArrayLike) -> Curve:
    """A curve from its points.

    Args:
        soc: (n,) shares from 0 to 1, rising, n >= 2; need not be contiguous.
        voltage_v: (n,) volts above 0, never falling.

    Raises:
        BalancingError: fewer points, no number, out of order, or shares outside 0 to 1.
    """
    soc, voltage_v = np.array(soc, np.float64), np.array(voltage_v, np.float64)
    if soc.ndim != 1 or soc.shape != voltage_v.shape or len(soc) < 2:
        raise BalancingError("a curve needs at least two points of soc and voltage_v")
    if not (np.isfinite(soc).all() and np.isfinite(voltage_v).all() and voltage_v[0] > 0.0):
        raise BalancingError("a curve needs numbers, and voltages above 0")
    if not ((np.diff(soc) > 0.0).all() and (np.diff(voltage_v) >= 0.0).all()):
        raise BalancingError("a curve's soc must rise from point to point, and its voltage_v must not fall")
    if soc[0] < 0.0 or soc[-1] > 1.0:
        raise BalancingError("a curve's soc is a share from 0 to 1")
    return Curve(soc, voltage_v, *_tables(soc, voltage_v))


def _tables(soc: F64, voltage_v: F64) -> tuple[F64, I64, int]:
    """Pieces, first piece and steps of a `Curve`."""
    cuts = np.maximum(np.ceil(np.diff(voltage_v) / (GROWTH_MAX * voltage_v[:-1])), 1).astype(np.int64)
    grid = _grid(soc)
    if grid:
        begins = np.linspace(soc[0], soc[-1], grid * int(cuts.max()) + 1)
    else:
        knots = [np.linspace(soc[i], soc[i + 1], cut, endpoint=False) for i, cut in enumerate(cuts)]
        begins = np.append(np.concatenate(knots), soc[-1])
    begin_v = np.interp(begins, soc, voltage_v)
    width, growth = np.diff(begins), np.diff(begin_v) / begin_v[:-1]
    factor = np.divide(np.log1p(growth), growth, out=np.ones_like(growth), where=growth > 0.0)
    below = np.concatenate(([0.0], np.cumsum(width / begin_v[:-1] * factor)))
    pieces = np.column_stack((begins, below, 1.0 / begin_v, np.append(growth / width, 0.0)))
    if grid:
        return pieces, np.arange(len(width)), 0
    buckets = min(BUCKETS_MAX, 2 * int(np.ceil((soc[-1] - soc[0]) / width.min())))
    edges = np.linspace(soc[0], soc[-1], buckets + 1)
    first = np.clip(np.searchsorted(begins, edges, side="right") - 2, 0, len(width) - 1)
    last = np.minimum(np.searchsorted(begins, edges[1:], side="right") - 1, len(width) - 1)
    return pieces, first[:-1], int(np.max(last - first[:-1]))


def _grid(soc: F64) -> int:
    """The fewest equal parts at whose ends all points lie; 0 if there are none so coarse."""
    parts = np.arange(1, GRID_MAX + 1)[:, None]
    places = (soc - soc[0]) / (soc[-1] - soc[0]) * parts
    fits = (np.abs(places - np.rint(places)) < GRID_NEAR).all(axis=1)
    return int(np.argmax(fits)) + 1 if fits.any() else 0


def soc_range(curve: Curve, voltage_v: ArrayLike, error_v: float) -> SocRange:
    """The states of charge that rest voltages may stand for.

    Args:
        curve: of the cells.
        voltage_v: (n,) rest voltages; a missing one is NaN.
        error_v: what each may be wrong by, either way.

    Returns:
        Where the curve is within `error_v` of the voltage. Wide on a flat part of the curve.
    """
    measured_v = np.asarray(voltage_v, np.float64)
    low = _soc_where(curve, measured_v - error_v, "left")
    high = _soc_where(curve, measured_v + error_v, "right")
    inside = (measured_v + error_v >= curve.voltage_v[0]) & (measured_v - error_v <= curve.voltage_v[-1])
    return SocRange(np.where(inside, low, np.nan), np.where(inside, high, np.nan))


def soc_from_voltage(curve: Curve, voltage_v: ArrayLike, error_v: float, soc_error_max: float) -> F64:
    """SOC of cells from their rest voltages, where that can be told.

    Args:
        curve: of the cells.
        voltage_v: (n,) rest voltages.
        error_v: what each may be wrong by, either way.
        soc_error_max: how wrong a SOC may be at most.

    Returns:
        (n,) the middle of what each voltage may stand for.

    Raises:
        BalancingError: a voltage is missing or not on the curve, or the curve is too flat there: balancing by it
            would unbalance. The SOC must then come from the charge history.
    """
    low, high = soc_range(curve, voltage_v, error_v)
    nowhere = np.flatnonzero(~np.isfinite(low))
    if len(nowhere):
        raise BalancingError(f"{named(nowhere)}: no voltage, or none of the curve; measure at rest, check the curve")
    error = (high - low) / 2.0
    flat = np.flatnonzero(error > soc_error_max)
    if len(flat):
        raise BalancingError(
            f"{named(flat)}: the curve is flat there, {error_v * 1e3:g} mV stand for {np.max(error):.1%} of SOC; "
            "needs charge history: give the SOC by counted charge since the last full charge"
        )
    middle: F64 = (low + high) / 2.0
    return middle


def soc_error(curve: Curve, soc: ArrayLike, error_v: float) -> F64:
    """(n,) how wrong a SOC could be, either way, had it been taken from a voltage with this error."""
    low, high = soc_range(curve, curve.voltage_at(soc), error_v)
    error: F64 = (high - low) / 2.0
    return error


def _soc_where(curve: Curve, voltage_v: F64, side: str) -> F64:
    """The first ("left") or last SOC with a voltage; the curve's ends where it is beyond them."""
    last = len(curve.soc) - 2
    if side == "left":
        segment = np.searchsorted(curve.voltage_v, voltage_v, side="left") - 1
    else:
        segment = np.searchsorted(curve.voltage_v, voltage_v, side="right") - 1
    segment = np.clip(segment, 0, last)
    begin_v, end_v = curve.voltage_v[segment], curve.voltage_v[segment + 1]
    rise_v = end_v - begin_v
    flat = 0.0 if side == "left" else 1.0
    share = np.divide(voltage_v - begin_v, rise_v, out=np.full_like(rise_v, flat), where=rise_v > 0.0)
    found: F64 = curve.soc[segment] + np.clip(share, 0.0, 1.0) * (curve.soc[segment + 1] - curve.soc[segment])
    return found


def named(places: I64, names: Sequence[object] | None = None) -> str:
    """Cells told to people: by their names, or by their number from 1."""
    told = [str(place + 1 if names is None else names[place]) for place in places.tolist()]
    return ("cell " if len(told) == 1 else "cells ") + ", ".join(told)
