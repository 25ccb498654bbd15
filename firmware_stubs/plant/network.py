"""A network of resistors, capacitors, sources and tied nodes, solved in closed form between events.

Nodal analysis against chassis: C dv/dt = -G v + J s, with the currents J that sources of strength one drive into the
nodes, and their strengths s. Contacts without resistance tie nodes together instead of adding a conductance of
kilosiemens, which would drown insulation currents in rounding; at the instant nodes are tied their charges add up.
With T the incidence of nodes to ties, the symmetric problem (T'CT)^-1/2 (T'GT) (T'CT)^-1/2 gives rates and shapes,
and every voltage is a level and a few exponentials. Sources are constant from event to event, but for the first: it
may drift, so slowly that the network follows at once.

Reference: tests/reference/plant.py.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_stubs.plant.history import History

F64 = NDArray[np.float64]


class Node(enum.IntEnum):
    """Points between which there is a voltage.

    B_MINUS, B_PLUS: poles of the cell stack. P, N: outer poles. LINK, CYCLER: plus of the station's link capacitor
    and of the cycler's output, whose minus counts as N: the voltage from there to N is the capacitor's own, connected
    or not. TESTER: output of the insulation or withstand tester, whose return is the chassis. PE: chassis.
    """

    B_MINUS = 0
    B_PLUS = 1
    P = 2
    N = 3
    LINK = 4
    CYCLER = 5
    TESTER = 6
    PE = 7


NODES = len(Node)
FREE = NODES - 1
"""Nodes with a potential of their own: all but chassis, the last."""

FADED = 50.0
"""Time constants after which an exponential no longer shows in a double."""

NEGLIGIBLE_V = 1e-9


class Branch(NamedTuple):
    """Something between two nodes; `value` in siemens or farads."""

    a: Node
    b: Node
    value: float


class Drift(Protocol):
    """The slow course of the first source."""

    def strength(self, t_s: float) -> float: ...
    def strengths(self, t_s: F64) -> F64: ...


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
    """The solution for one position of all switches, for sources of any strength.

    farad, siemens: (FREE, FREE). injection: (FREE, sources). tie: (FREE, groups). Of the others, rows are nodes with
    the chassis: unit_v (NODES, sources) are steady potentials for each source alone at strength one.
    """

    __slots__ = ("farad", "injection", "project", "rate_per_s", "rates", "shape", "siemens", "tie", "unit_v")

    def __init__(self, farad: F64, siemens: F64, injection: F64, tie: F64) -> None:
        self.farad, self.siemens, self.injection, self.tie = farad, siemens, injection, tie
        lower = np.linalg.cholesky(tie.T @ farad @ tie)
        conductance = tie.T @ siemens @ tie
        half = np.linalg.solve(lower, conductance)
        self.rate_per_s, vectors = np.linalg.eigh(np.linalg.solve(lower, half.T))
        shape = tie @ np.linalg.solve(lower.T, vectors)
        self.project = _with_chassis((shape.T @ farad).T).T
        self.shape = _with_chassis(shape)
        self.unit_v = _with_chassis(tie @ np.linalg.solve(conductance, tie.T @ injection))
        self.rates: list[float] = self.rate_per_s.tolist()


def _with_chassis(by_node: F64) -> F64:
    """(FREE, …) with a row of zeros for the chassis."""
    rows = np.zeros((NODES, *by_node.shape[1:]))
    rows[:FREE] = by_node
    return rows


class Segment:
    """The network from one event to the next."""

    __slots__ = ("_amplitude_v", "_drift", "_emf_v", "_pairs", "_source", "_steady_v", "mode", "start_s", "state")

    def __init__(
        self, start_s: float, state: int, mode: Mode, source: F64, before_v: F64, drift: Drift | None = None
    ) -> None:
        """`source`: (sources,) strengths at the start. `before_v`: (NODES,) potentials just before the event."""
        self.start_s = start_s
        self.state = state
        self.mode = mode
        self._source = source
        self._emf_v = source.item(0)
        self._drift = drift
        self._steady_v = mode.unit_v @ source
        self._amplitude_v = mode.shape * (mode.project @ (before_v - self._steady_v))
        self._pairs: dict[int, tuple[float, float, list[tuple[float, float]]]] = {}

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        """Voltage of `a` against `b`."""
        pair = self._pairs.get(a * NODES + b)
        volts, per_drift, terms = self._pair(a, b) if pair is None else pair
        age_s = t_s - self.start_s
        for rate_per_s, amplitude_v in terms:
            exponent = rate_per_s * age_s
            if exponent > FADED:
                break
            volts += amplitude_v * math.exp(-exponent)
        if self._drift is not None:
            volts += per_drift * self._drifted(t_s)
        return volts

    def waveform(self, t_s: F64, a: Node, b: Node) -> F64:
        """Voltage of `a` against `b` at ascending times, (n,) as `t_s`; n >= 1."""
        pair = self._pairs.get(a * NODES + b)
        level_v, per_drift, terms = self._pair(a, b) if pair is None else pair
        volts = np.empty(len(t_s))
        volts.fill(level_v)
        youngest_s = t_s.item(0) - self.start_s
        for rate_per_s, amplitude_v in terms:
            if rate_per_s * youngest_s > FADED:
                break
            age_s = t_s - self.start_s
            fading = age_s * -rate_per_s
            np.exp(fading, out=fading)
            fading *= amplitude_v
            volts += fading
        if self._drift is not None:
            volts += per_drift * (self._drift.strengths(t_s) - self._source[0])
        return volts

    def stack_v(self, t_s: float) -> float:
        """Strength of the first source."""
        return self._emf_v + self._drifted(t_s)

    def strengths(self, t_s: float) -> F64:
        """(sources,) strengths of the sources."""
        source = self._source.copy()
        source[0] += self._drifted(t_s)
        return source

    def potentials_v(self, t_s: float) -> F64:
        """(NODES,) potentials against chassis."""
        potentials_v: F64 = self._steady_v + self._amplitude_v @ self._faded(t_s)
        if self._drift is not None:
            potentials_v += self.mode.unit_v[:, 0] * self._drifted(t_s)
        return potentials_v

    def slopes_v_per_s(self, t_s: float) -> F64:
        """(NODES,) rates of change of the potentials, but for drift."""
        slopes_v_per_s: F64 = self._amplitude_v @ (-self.mode.rate_per_s * self._faded(t_s))
        return slopes_v_per_s

    def _drifted(self, t_s: float) -> float:
        """How much stronger the first source has become."""
        return 0.0 if self._drift is None else self._drift.strength(t_s) - self._emf_v

    def _faded(self, t_s: float) -> F64:
        return np.array([math.exp(-min(rate * (t_s - self.start_s), 700.0)) for rate in self.mode.rates])

    def _pair(self, a: Node, b: Node) -> tuple[float, float, list[tuple[float, float]]]:
        """Of `a` against `b`: level, share in the drift, and (rate, amplitude) of exponentials from slow to fast."""
        level_v = float(self._steady_v[a] - self._steady_v[b])
        per_drift = float(self.mode.unit_v[a, 0] - self.mode.unit_v[b, 0])
        amplitudes_v = (self._amplitude_v[a] - self._amplitude_v[b]).tolist()
        terms = [
            (rate, volts)
            for rate, volts in zip(self.mode.rates, amplitudes_v, strict=True)
            if abs(volts) > NEGLIGIBLE_V
        ]
        pair = self._pairs[a * NODES + b] = level_v, per_drift, terms
        return pair


class Timeline(History[Segment]):
    """The newest segments."""

    def __init__(self, first: Segment) -> None:
        super().__init__(first.start_s, first)

    def waveform(self, t_s: F64, a: Node, b: Node) -> F64:
        """Voltage of `a` against `b` at ascending times, (n,) as `t_s`, across events."""
        if len(t_s) == 0:
            return np.empty(0)
        if t_s.item(0) >= self.last.start_s:
            return self.last.waveform(t_s, a, b)
        pieces = []
        done = 0
        while done < len(t_s):
            index = self._index(float(t_s[done]))
            until = len(t_s)
            if index + 1 < len(self._values):
                until = int(np.searchsorted(t_s, self._starts_s[index + 1], side="left"))
            pieces.append(self._values[index].waveform(t_s[done:until], a, b))
            done = until
        return np.concatenate(pieces)
