"""A network of resistors, capacitors and tied nodes, solved in closed form between switching events.

Nodal analysis against chassis: C dv/dt = -G v + i. Contacts without resistance tie nodes together instead of
adding a conductance of kilosiemens, which would drown insulation currents in rounding; at the instant nodes are
tied their charges add up. With T the incidence of nodes to ties, the symmetric problem
(T'CT)^-1/2 (T'GT) (T'CT)^-1/2 gives rates and shapes, and every voltage is a level and a few exponentials.

Reference: tests/reference/plant.py.
"""

from __future__ import annotations

import enum
import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


class Node(enum.IntEnum):
    """Points between which there is a voltage.

    B_MINUS, B_PLUS: poles of the cell stack. P, N: outer poles. LINK: plus of the station's link capacitor, whose
    minus counts as N: the voltage from LINK to N is the capacitor's own, connected or not. PE: chassis.
    """

    B_MINUS = 0
    B_PLUS = 1
    P = 2
    N = 3
    LINK = 4
    PE = 5


NODES = len(Node)
FREE = NODES - 1
"""Nodes with a potential of their own: all but chassis, the last."""

FADED = 50.0
"""Time constants after which an exponential no longer shows in a double."""

NEGLIGIBLE_V = 1e-9

REMEMBERED_S = 120.0
TRIMMED_AT = 1024


class Branch(NamedTuple):
    """Something between two nodes; `value` in siemens or farads."""

    a: Node
    b: Node
    value: float


def stamped(branches: Iterable[Branch]) -> F64:
    """(FREE, FREE) nodal matrix of the branches."""
    matrix = np.zeros((NODES, NODES))
    for a, b, value in branches:
        matrix[a, a] += value
        matrix[b, b] += value
        matrix[a, b] -= value
        matrix[b, a] -= value
    return matrix[:FREE, :FREE]


def tied(ties: Iterable[tuple[Node, Node]]) -> F64:
    """(FREE, groups) incidence of nodes to groups of nodes tied together."""
    group = list(range(FREE))
    for a, b in ties:
        group = [group[a] if g == group[b] else g for g in group]
    return np.equal.outer(group, sorted(set(group))).astype(np.float64)


class Mode:
    """The solution for one position of all switches. Matrices have a row for every node, chassis included."""

    __slots__ = ("project", "rate_per_s", "rates", "shape", "steady_v")

    def __init__(self, farad: F64, siemens: F64, source_a: F64, tie: F64) -> None:
        lower = np.linalg.cholesky(tie.T @ farad @ tie)
        conductance = tie.T @ siemens @ tie
        half = np.linalg.solve(lower, conductance)
        self.rate_per_s, vectors = np.linalg.eigh(np.linalg.solve(lower, half.T))
        shape = tie @ np.linalg.solve(lower.T, vectors)
        steady_v = tie @ np.linalg.solve(conductance, tie.T @ source_a)
        self.project = _with_chassis((shape.T @ farad).T).T
        self.shape = _with_chassis(shape)
        self.steady_v = _with_chassis(steady_v)
        self.rates: list[float] = self.rate_per_s.tolist()


def _with_chassis(by_node: F64) -> F64:
    """(FREE, …) with a row of zeros for the chassis."""
    rows = np.zeros((NODES, *by_node.shape[1:]))
    rows[:FREE] = by_node
    return rows


class Segment:
    """The network from one switching event to the next."""

    __slots__ = ("_amplitude_v", "_pairs", "mode", "start_s", "state")

    def __init__(self, start_s: float, state: int, mode: Mode, before_v: F64) -> None:
        """`before_v`: (NODES,) potentials just before the event."""
        self.start_s = start_s
        self.state = state
        self.mode = mode
        self._amplitude_v = mode.shape * (mode.project @ (before_v - mode.steady_v))
        self._pairs: dict[int, tuple[float, list[tuple[float, float]]]] = {}

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        """Voltage of `a` against `b`."""
        pair = self._pairs.get(a * NODES + b)
        volts, terms = self._pair(a, b) if pair is None else pair
        age_s = t_s - self.start_s
        for rate_per_s, amplitude_v in terms:
            exponent = rate_per_s * age_s
            if exponent > FADED:
                break
            volts += amplitude_v * math.exp(-exponent)
        return volts

    def waveform(self, t_s: F64, a: Node, b: Node) -> F64:
        """Voltage of `a` against `b` at ascending times, (n,) as `t_s`; n >= 1."""
        pair = self._pairs.get(a * NODES + b)
        level_v, terms = self._pair(a, b) if pair is None else pair
        age_s = t_s - self.start_s
        volts = np.full(len(t_s), level_v)
        for rate_per_s, amplitude_v in terms:
            if rate_per_s * age_s[0] > FADED:
                break
            fading = age_s * -rate_per_s
            np.exp(fading, out=fading)
            fading *= amplitude_v
            volts += fading
        return volts

    def potentials_v(self, t_s: float) -> F64:
        """(NODES,) potentials against chassis."""
        potentials_v: F64 = self.mode.steady_v + self._amplitude_v @ self._faded(t_s)
        return potentials_v

    def slopes_v_per_s(self, t_s: float) -> F64:
        """(NODES,) rates of change of the potentials."""
        slopes_v_per_s: F64 = self._amplitude_v @ (-self.mode.rate_per_s * self._faded(t_s))
        return slopes_v_per_s

    def _faded(self, t_s: float) -> F64:
        return np.array([math.exp(-min(rate * (t_s - self.start_s), 700.0)) for rate in self.mode.rates])

    def _pair(self, a: Node, b: Node) -> tuple[float, list[tuple[float, float]]]:
        """Level, and (rate, amplitude) of each exponential from slow to fast, of `a` against `b`."""
        level_v = float(self.mode.steady_v[a] - self.mode.steady_v[b])
        amplitudes_v = (self._amplitude_v[a] - self._amplitude_v[b]).tolist()
        terms = [
            (rate, volts)
            for rate, volts in zip(self.mode.rates, amplitudes_v, strict=True)
            if abs(volts) > NEGLIGIBLE_V
        ]
        self._pairs[a * NODES + b] = level_v, terms
        return level_v, terms


class Timeline:
    """The segments of at least the last REMEMBERED_S, in order."""

    def __init__(self, first: Segment) -> None:
        self.last = first
        self._segments = [first]
        self._starts_s = [first.start_s]

    def append(self, segment: Segment) -> None:
        """Begin a new segment, not before the last one's start."""
        if len(self._segments) >= TRIMMED_AT:
            forgotten = bisect_right(self._starts_s, segment.start_s - REMEMBERED_S) - 1
            del self._segments[: max(forgotten, 0)], self._starts_s[: max(forgotten, 0)]
        self._segments.append(segment)
        self._starts_s.append(segment.start_s)
        self.last = segment

    def at(self, t_s: float) -> Segment:
        """The segment a moment lies in.

        Raises:
            ValueError: the moment is no longer remembered.
        """
        return self._segments[self._index(t_s)]

    def waveform(self, t_s: F64, a: Node, b: Node) -> F64:
        """Voltage of `a` against `b` at ascending times, (n,) as `t_s`, across switching events."""
        if len(t_s) == 0:
            return np.empty(0)
        if t_s[0] >= self.last.start_s:
            return self.last.waveform(t_s, a, b)
        pieces = []
        done = 0
        while done < len(t_s):
            index = self._index(float(t_s[done]))
            until = len(t_s)
            if index + 1 < len(self._segments):
                until = int(np.searchsorted(t_s, self._starts_s[index + 1], side="left"))
            pieces.append(self._segments[index].waveform(t_s[done:until], a, b))
            done = until
        return np.concatenate(pieces)

    def _index(self, t_s: float) -> int:
        index = bisect_right(self._starts_s, t_s) - 1
        if index < 0:
            raise ValueError(f"{t_s} s: only {self._starts_s[0]} s and later is remembered")
        return index
