"""The high-voltage circuit of one pack on one station: which resistors, capacitors and contacts lie where."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bmsctl.domain.ports import Relay
from firmware_stubs.plant.network import FREE, Branch, Mode, Node, Segment, stamped, tied
from firmware_stubs.population import PackUnit, StationUnit

F64 = NDArray[np.float64]

B_MINUS, B_PLUS, P, N, LINK, CYCLER, TESTER, PE = Node


class Element(enum.StrEnum):
    """What station and BMS can connect.

    DIVIDERS: the BMS's, from the outer poles to B-; the only ones connected at first, with the PLC's meter. CYCLER:
    both poles of its output. TESTER_*: output of the insulation or withstand tester to an outer pole. R0_*, REFERENCE:
    known resistors from an outer pole to chassis, in the digitizer's front end; they conduct only while it is routed.
    """

    LOAD = "load"
    LINK_CAPACITOR = "link_capacitor"
    DISCHARGE = "discharge"
    DIGITIZER = "digitizer"
    PE_PROOF = "pe_proof"
    PLC_METER = "plc_meter"
    DIVIDERS = "dividers"
    CYCLER = "cycler"
    TESTER_PLUS = "tester_plus"
    TESTER_MINUS = "tester_minus"
    R0_MINUS = "r0_minus"
    R0_PLUS = "r0_plus"
    REFERENCE = "reference"


class Source(enum.IntEnum):
    """What drives the circuit: the stack in volts, the cycler in amperes (charging), the tester in volts."""

    STACK = 0
    CYCLER = 1
    TESTER = 2


DIVIDER_OHM = 5e6
LOAD_OHM = 1e3
DISCHARGE_OHM = 1e3
LINK_BLEEDER_OHM = 1e3
CYCLER_FARAD, CYCLER_BLEEDER_OHM = 100e-6, 10e3
CYCLER_Y_FARAD = 0.47e-6
TESTER_FARAD = 1e-9
TESTER_REST_OHM = 1e6
PE_PROOF_OHM = 100e3
PLC_METER_OHM = 200e3
TOUCH_OHM = 100e3
ARC_OHM = 3e3
OUTER_Y_FARAD = 0.1e-6
"""Of the pack's capacitance to chassis, what lies at each outer pole."""
LEAST_POLE_FARAD = 1e-9
LEAST_Y_FARAD = 4 * LEAST_POLE_FARAD
CONTACT_OHM = 1e-3
"""Nothing conducts better than a contact, not even a dead short in a scenario."""

CONTACTS: Mapping[str, tuple[Node, Node]] = {
    Relay.MAIN_PLUS: (B_PLUS, P),
    Relay.MAIN_MINUS: (B_MINUS, N),
    Element.LINK_CAPACITOR: (P, LINK),
    Element.CYCLER: (P, CYCLER),
    Element.TESTER_PLUS: (P, TESTER),
    Element.TESTER_MINUS: (N, TESTER),
}
"""Contacts that tie two nodes; the second node is the one that is dead when all are open."""

ARCS: Mapping[str, Node] = {"arc_plus": P, "arc_minus": N}
"""Where insulation can break down to chassis."""

SWITCHES: Mapping[str, int] = {name: 1 << bit for bit, name in enumerate((*Relay, *Element, *ARCS))}
"""Each switch's bit in the state of the circuit."""


class Circuit:
    """Solves the circuit for a state, an OR of SWITCHES; every state once.

    The first two groups of tied nodes are always those of B_MINUS and B_PLUS.
    """

    def __init__(self, pack: PackUnit, station: StationUnit, series_ohm: float) -> None:
        """`series_ohm`: of the whole string, at once."""
        self._precharge_ohm = pack.precharge_ohm + CONTACT_OHM
        always = stamped(_capacitors(pack, station))
        self._farad = always, always + stamped(_cycler_y())
        self._always = stamped(_resistors(pack, series_ohm))
        self._closed = {
            _bits(names): stamped(branches) for names, branches in _switched(self._precharge_ohm, station).items()
        }
        self._open = {SWITCHES[name]: stamped([branch]) for name, branch in _BLEEDERS.items()}
        self._series_s = 1.0 / series_ohm
        self._modes: dict[tuple[int, float], Mode] = {}
        self._touch_v: dict[tuple[Mode, Node], F64] = {}

    def mode(self, state: int, tester_ohm: float) -> Mode:
        """The solution for a state, with this resistance behind the tester's output."""
        mode = self._modes.get((state, tester_ohm))
        if mode is None:
            siemens = self._siemens(state)
            siemens[TESTER, TESTER] += 1.0 / tester_ohm
            mode = Mode(self._farads(state), siemens, self._injection(1.0 / tester_ohm), _tied(state))
            self._modes[state, tester_ohm] = mode
        return mode

    def touch_v(self, segment: Segment, t_s: float, node: Node) -> float:
        """Steady voltage across TOUCH_OHM from a node to chassis."""
        mode = segment.mode
        unit_v = self._touch_v.get((mode, node))
        if unit_v is None:
            siemens = mode.tie.T @ (mode.siemens + stamped([_resistor(node, PE, TOUCH_OHM)])) @ mode.tie
            unit_v = mode.tie[node] @ np.linalg.solve(siemens, mode.tie.T @ mode.injection)
            self._touch_v[mode, node] = unit_v
        return float(unit_v @ segment.strengths(t_s))

    def insulation_ohm(self, mode: Mode) -> tuple[float, float]:
        """Resistance to chassis of the stack's plus and minus, all other nodes reduced to these two."""
        siemens = mode.tie.T @ mode.siemens @ mode.tie
        to_chassis = siemens.sum(axis=1)
        share = np.linalg.solve(siemens[2:, 2:], -siemens[2:, :2])
        minus_s, plus_s = to_chassis[:2] + to_chassis[2:] @ share
        return float(1.0 / plus_s), float(1.0 / minus_s)

    def inrush_farad(self, state: int, name: str) -> float:
        """Capacitance that the open contact `name` would charge with nothing but contacts and cells in the way.

        Infinite if other contacts already tie its nodes: it would close a circuit of contacts and cells alone.
        """
        near, far = CONTACTS[name]
        tie = tied([*_ties(state), (B_MINUS, B_PLUS)])
        across = tie.T @ _unit(near, far)
        if not across.any():
            return math.inf
        return float(1.0 / (across @ np.linalg.solve(tie.T @ self._farads(state) @ tie, across)))

    def contact_a(self, segment: Segment, t_s: float, name: str) -> float:
        """Current through the closed contact `name`, towards the second of its nodes."""
        if name == Relay.PRECHARGE:
            return segment.voltage(t_s, B_PLUS, P) / self._precharge_ohm
        tie = _tied(segment.state & ~SWITCHES[name])
        beyond = tie[:, np.argmax(tie[CONTACTS[name][1]])]
        mode = segment.mode
        leaving_a = (
            mode.siemens @ segment.potentials_v(t_s)[:FREE]
            + mode.farad @ segment.slopes_v_per_s(t_s)[:FREE]
            - mode.injection @ segment.strengths(t_s)
        )
        return float(beyond @ leaving_a)

    def tester_a(self, segment: Segment, t_s: float) -> float:
        """Current out of the tester's output."""
        across_v = segment.strengths(t_s)[Source.TESTER] - segment.voltage(t_s, TESTER, PE)
        return float(across_v * segment.mode.injection[TESTER, Source.TESTER])

    def with_cycler_v(self, before_v: F64) -> F64:
        """(NODES,) potentials once the cycler's Y capacitors, empty, have shared the charge."""
        without, within = self._farad
        after_v = before_v.copy()
        after_v[:FREE] = np.linalg.solve(within, without @ before_v[:FREE])
        return after_v

    def _farads(self, state: int) -> F64:
        return self._farad[bool(state & SWITCHES[Element.CYCLER])]

    def _siemens(self, state: int) -> F64:
        siemens = self._always.copy()
        for bits, stamp in self._closed.items():
            if state & bits == bits:
                siemens += stamp
        for bit, stamp in self._open.items():
            if not state & bit:
                siemens += stamp
        return siemens

    def _injection(self, tester_s: float) -> F64:
        """(FREE, sources) currents into the nodes from sources of strength one."""
        injection = np.zeros((FREE, len(Source)))
        injection[[B_PLUS, B_MINUS], Source.STACK] = self._series_s, -self._series_s
        injection[[CYCLER, N], Source.CYCLER] = 1.0, -1.0
        injection[TESTER, Source.TESTER] = tester_s
        return injection


def _resistor(a: Node, b: Node, ohm: float) -> Branch:
    return Branch(a, b, 1.0 / max(ohm, CONTACT_OHM))


def _resistors(pack: PackUnit, series_ohm: float) -> list[Branch]:
    """What is always connected."""
    return [
        _resistor(B_PLUS, B_MINUS, series_ohm),
        _resistor(B_PLUS, PE, pack.insulation_pos_ohm),
        _resistor(B_MINUS, PE, pack.insulation_neg_ohm),
        _resistor(P, PE, pack.outer_pos_ohm),
        _resistor(N, PE, pack.outer_neg_ohm),
        _resistor(B_PLUS, B_MINUS, DIVIDER_OHM),
    ]


def _capacitors(pack: PackUnit, station: StationUnit) -> list[Branch]:
    """What is always connected; the pack's capacitance to chassis lies half at the poles of the stack, or more."""
    outer_farad = min(OUTER_Y_FARAD, pack.y_farad / 2 - LEAST_POLE_FARAD)
    inner_farad = pack.y_farad / 2 - outer_farad
    return [
        Branch(B_PLUS, PE, inner_farad),
        Branch(B_MINUS, PE, inner_farad),
        Branch(P, PE, outer_farad),
        Branch(N, PE, outer_farad),
        Branch(LINK, N, station.link_farad),
        Branch(CYCLER, N, CYCLER_FARAD),
        Branch(TESTER, PE, TESTER_FARAD),
    ]


def _cycler_y() -> list[Branch]:
    return [Branch(CYCLER, PE, CYCLER_Y_FARAD), Branch(N, PE, CYCLER_Y_FARAD)]


_BLEEDERS: Mapping[str, Branch] = {
    Element.LINK_CAPACITOR: _resistor(LINK, N, LINK_BLEEDER_OHM),
    Element.CYCLER: _resistor(CYCLER, N, CYCLER_BLEEDER_OHM),
}
"""What discharges a capacitor while its route is open."""


def _switched(precharge_ohm: float, station: StationUnit) -> dict[tuple[str, ...], list[Branch]]:
    """What conducts while all these switches are closed, but for CONTACTS."""
    return {
        (Relay.PRECHARGE,): [_resistor(B_PLUS, P, precharge_ohm)],
        (Element.LOAD,): [_resistor(P, N, LOAD_OHM)],
        (Element.DISCHARGE,): [_resistor(P, N, DISCHARGE_OHM)],
        (Element.DIGITIZER,): [
            _resistor(P, PE, station.digitizer_pos_ohm),
            _resistor(N, PE, station.digitizer_neg_ohm),
        ],
        (Element.PE_PROOF,): [_resistor(P, PE, PE_PROOF_OHM), _resistor(N, PE, PE_PROOF_OHM)],
        (Element.PLC_METER,): [_resistor(P, N, PLC_METER_OHM)],
        (Element.DIVIDERS,): [_resistor(P, B_MINUS, DIVIDER_OHM), _resistor(N, B_MINUS, DIVIDER_OHM)],
        (Element.R0_MINUS, Element.DIGITIZER): [_resistor(N, PE, station.r0_minus_ohm)],
        (Element.R0_PLUS, Element.DIGITIZER): [_resistor(P, PE, station.r0_plus_ohm)],
        (Element.REFERENCE, Element.DIGITIZER): [_resistor(N, PE, station.reference_ohm)],
        **{(name,): [_resistor(node, PE, ARC_OHM)] for name, node in ARCS.items()},
    }


def _bits(names: tuple[str, ...]) -> int:
    return sum(SWITCHES[name] for name in names)


def _ties(state: int) -> list[tuple[Node, Node]]:
    return [nodes for name, nodes in CONTACTS.items() if state & SWITCHES[name]]


@cache
def _tied(state: int) -> F64:
    return tied(_ties(state))


def _unit(a: Node, b: Node) -> F64:
    across = np.zeros(FREE)
    across[a], across[b] = 1.0, -1.0
    return across
