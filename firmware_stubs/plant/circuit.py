"""The high-voltage circuit of one pack on one station: which resistors, capacitors and contacts lie where."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bmsctl.domain.ports import Relay
from firmware_stubs.plant.network import Branch, Mode, Node, Segment, stamped, tied
from firmware_stubs.population import PackUnit, StationUnit

F64 = NDArray[np.float64]

B_MINUS, B_PLUS, P, N, LINK, PE = Node


class Element(enum.StrEnum):
    """What the station can connect."""

    LOAD = "load"
    LINK_CAPACITOR = "link_capacitor"
    DISCHARGE = "discharge"
    DIGITIZER = "digitizer"
    PE_PROOF = "pe_proof"
    PLC_METER = "plc_meter"


DIVIDER_OHM = 5e6
LOAD_OHM = 1e3
DISCHARGE_OHM = 1e3
LINK_BLEEDER_OHM = 1e3
PE_PROOF_OHM = 100e3
PLC_METER_OHM = 200e3
TOUCH_OHM = 100e3
OUTER_FARAD = 1e-9
CONTACT_OHM = 1e-3
"""Nothing conducts better than a contact, not even a dead short in a scenario."""

CONTACTS: Mapping[str, tuple[Node, Node]] = {
    Relay.MAIN_PLUS: (B_PLUS, P),
    Relay.MAIN_MINUS: (B_MINUS, N),
    Element.LINK_CAPACITOR: (P, LINK),
}
"""Contacts that tie two nodes; the second node is the one that is dead when all are open."""

SWITCHES: Mapping[str, int] = {name: 1 << bit for bit, name in enumerate((*Relay, *Element))}
"""Each switch's bit in the state of the circuit."""


class Circuit:
    """Solves the circuit for a state, an OR of SWITCHES; every state once.

    The first two groups of tied nodes are always those of B_MINUS and B_PLUS.
    """

    def __init__(self, pack: PackUnit, station: StationUnit, stack_v: float) -> None:
        self._precharge_ohm = pack.precharge_ohm + CONTACT_OHM
        self._farad = stamped(_capacitors(pack, station))
        self._always = stamped(_resistors(pack))
        self._bleeder = stamped([_resistor(LINK, N, LINK_BLEEDER_OHM)])
        self._closed = {
            SWITCHES[name]: stamped(branches) for name, branches in _switched(self._precharge_ohm, station).items()
        }
        self._source_a = np.zeros(len(self._farad))
        self._source_a[[B_PLUS, B_MINUS]] = stack_v / pack.series_ohm, -stack_v / pack.series_ohm
        self._modes: dict[int, Mode] = {}
        self._touch_v: dict[tuple[int, Node], float] = {}

    def mode(self, state: int) -> Mode:
        """The solution for a state."""
        mode = self._modes.get(state)
        if mode is None:
            mode = self._modes[state] = Mode(self._farad, self._siemens(state), self._source_a, _tied(state))
        return mode

    def touch_v(self, state: int, node: Node) -> float:
        """Steady voltage across TOUCH_OHM from a node to chassis."""
        volts = self._touch_v.get((state, node))
        if volts is None:
            siemens = self._siemens(state) + stamped([_resistor(node, PE, TOUCH_OHM)])
            tie = _tied(state)
            steady_v = tie @ np.linalg.solve(tie.T @ siemens @ tie, tie.T @ self._source_a)
            volts = self._touch_v[state, node] = float(steady_v[node])
        return volts

    def insulation_ohm(self, state: int) -> tuple[float, float]:
        """Resistance to chassis of the stack's plus and minus, all other nodes reduced to these two."""
        tie = _tied(state)
        siemens = tie.T @ self._siemens(state) @ tie
        to_chassis = siemens.sum(axis=1)
        share = np.linalg.solve(siemens[2:, 2:], -siemens[2:, :2]) if len(siemens) > 2 else np.empty((0, 2))
        minus_s, plus_s = to_chassis[:2] + to_chassis[2:] @ share
        return float(1.0 / plus_s), float(1.0 / minus_s)

    def inrush_farad(self, state: int, name: str) -> float:
        """Capacitance that the open contact `name` would charge with nothing but contacts and cells in the way."""
        near, far = CONTACTS[name]
        tie = tied([*_ties(state), (B_MINUS, B_PLUS)])
        across = tie.T @ _unit(near, far)
        return float(1.0 / (across @ np.linalg.solve(tie.T @ self._farad @ tie, across)))

    def contact_a(self, segment: Segment, t_s: float, name: str) -> float:
        """Current through the closed contact `name`, towards the second of its nodes."""
        if name == Relay.PRECHARGE:
            return segment.voltage(t_s, B_PLUS, P) / self._precharge_ohm
        bit = SWITCHES[name]
        tie = _tied(segment.state & ~bit)
        beyond = tie[:, np.argmax(tie[CONTACTS[name][1]])]
        leaving_a = (
            self._siemens(segment.state) @ segment.potentials_v(t_s)[:PE]
            + self._farad @ segment.slopes_v_per_s(t_s)[:PE]
            - self._source_a
        )
        return float(beyond @ leaving_a)

    def _siemens(self, state: int) -> F64:
        siemens = self._always.copy()
        for bit, stamp in self._closed.items():
            if state & bit:
                siemens += stamp
        if not state & SWITCHES[Element.LINK_CAPACITOR]:
            siemens += self._bleeder
        return siemens


def _resistor(a: Node, b: Node, ohm: float) -> Branch:
    return Branch(a, b, 1.0 / max(ohm, CONTACT_OHM))


def _resistors(pack: PackUnit) -> list[Branch]:
    """What is always connected."""
    return [
        _resistor(B_PLUS, B_MINUS, pack.series_ohm),
        _resistor(B_PLUS, PE, pack.insulation_pos_ohm),
        _resistor(B_MINUS, PE, pack.insulation_neg_ohm),
        _resistor(P, PE, pack.outer_pos_ohm),
        _resistor(N, PE, pack.outer_neg_ohm),
        _resistor(B_PLUS, B_MINUS, DIVIDER_OHM),
        _resistor(P, B_MINUS, DIVIDER_OHM),
        _resistor(N, B_MINUS, DIVIDER_OHM),
    ]


def _capacitors(pack: PackUnit, station: StationUnit) -> list[Branch]:
    return [
        Branch(B_PLUS, PE, pack.y_farad / 2),
        Branch(B_MINUS, PE, pack.y_farad / 2),
        Branch(P, PE, OUTER_FARAD),
        Branch(N, PE, OUTER_FARAD),
        Branch(LINK, N, station.link_farad),
    ]


def _switched(precharge_ohm: float, station: StationUnit) -> dict[str, list[Branch]]:
    """What each switch connects, but for CONTACTS."""
    return {
        Relay.PRECHARGE: [_resistor(B_PLUS, P, precharge_ohm)],
        Element.LOAD: [_resistor(P, N, LOAD_OHM)],
        Element.DISCHARGE: [_resistor(P, N, DISCHARGE_OHM)],
        Element.DIGITIZER: [_resistor(P, PE, station.digitizer_pos_ohm), _resistor(N, PE, station.digitizer_neg_ohm)],
        Element.PE_PROOF: [_resistor(P, PE, PE_PROOF_OHM), _resistor(N, PE, PE_PROOF_OHM)],
        Element.PLC_METER: [_resistor(P, N, PLC_METER_OHM)],
    }


def _ties(state: int) -> list[tuple[Node, Node]]:
    return [nodes for name, nodes in CONTACTS.items() if state & SWITCHES[name]]


@cache
def _tied(state: int) -> F64:
    return tied(_ties(state))


def _unit(a: Node, b: Node) -> F64:
    across = np.zeros(PE)
    across[a], across[b] = 1.0, -1.0
    return across
