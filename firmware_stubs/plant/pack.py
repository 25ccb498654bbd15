"""The plant: one pack on one station, advanced only when someone looks or switches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bmsctl.domain.ports import Relay
from bmsctl.errors import ScenarioError
from firmware_stubs.plant import ledger as rules
from firmware_stubs.plant.cells import Cells
from firmware_stubs.plant.circuit import CONTACT_OHM, CONTACTS, SWITCHES, Circuit, Element
from firmware_stubs.plant.contactor import Contactor
from firmware_stubs.plant.ledger import Damage, PrechargeDuty
from firmware_stubs.plant.network import Node, Segment, Timeline
from firmware_stubs.population import PackFacts, PackUnit, draw_pack, draw_station

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class PlantCondition:
    """What is wrong with the pack's power part; the default is nothing.

    precharge_ohm: instead of the drawn resistor. cell_offset_v: per cell (from 1), a real difference in charge that
    gives this difference in rest voltage. insulation_*: a fault in parallel with the drawn insulation of the pole.

    Raises:
        ScenarioError: a contactor is both welded and stuck open.
    """

    welded: frozenset[Relay] = frozenset()
    stuck_open: frozenset[Relay] = frozenset()
    precharge_ohm: float | None = None
    cell_offset_v: Mapping[int, float] = field(default_factory=dict)
    insulation_pos_ohm: float | None = None
    insulation_neg_ohm: float | None = None

    def __post_init__(self) -> None:
        for relay in Relay:
            if relay in self.welded and relay in self.stuck_open:
                raise ScenarioError(f"{relay} is both welded and stuck open; a contact can be only one of them")

    def seized(self, relay: Relay) -> bool | None:
        """True for a welded contact, False for one stuck open, None for one that moves."""
        return True if relay in self.welded else False if relay in self.stuck_open else None


class Plant:
    """Pack, contactors and the station's high-voltage elements, at rest since ever. Times are loop times.

    Inputs take effect at `t_s`, or at the newest event if that is later. Voltages are answered for any time from
    REMEMBERED_S before the newest event up to now; asking for a later time settles it: later inputs cannot
    precede contact movements already seen. Coils are dead until `coil_supply` is on.
    """

    def __init__(self, pack: PackFacts, condition: PlantCondition, seed: int) -> None:
        unit = _with_faults(draw_pack(pack, seed), condition)
        self.facts = pack
        self.unit = unit
        self.station = draw_station(seed)
        self.ledger: list[Damage] = []
        self.on_switch: list[Callable[[float], None]] = []
        self._cells = Cells(unit, condition.cell_offset_v)
        self._contactors = {relay: Contactor(relay, seed, condition.seized(relay)) for relay in Relay}
        self._commanded = dict.fromkeys(Relay, False)
        self._coil_supply = False
        self._duty = PrechargeDuty()
        self._next_s = math.inf
        state = SWITCHES[Element.PLC_METER]
        for relay, contactor in self._contactors.items():
            state |= SWITCHES[relay] * contactor.closed
        self._circuit = Circuit(unit, self.station, self._cells.stack_v)
        mode = self._circuit.mode(state)
        self._timeline = Timeline(Segment(-math.inf, state, mode, mode.steady_v))

    @property
    def incoming_cell_voltage_v(self) -> F64:
        """(series,) rest voltages measured when the modules came in, by another instrument."""
        return self._cells.incoming_v

    @property
    def stack_v(self) -> float:
        """The cells' rest voltages, added up."""
        return self._cells.stack_v

    def settle(self, t_s: float) -> None:
        """Let every contact movement due by `t_s` happen."""
        while self._next_s <= t_s:
            contactor = min(self._contactors.values(), key=lambda contactor: contactor.next_s)
            change = contactor.step()
            self._next_s = min(contactor.next_s for contactor in self._contactors.values())
            self._move(change.t_s, contactor.relay, change.closed, driven=change.driven)

    def relay_command(self, t_s: float, relay: Relay, closed: bool) -> None:
        """The BMS energises, or no longer energises, a contactor's coil."""
        self._commanded[relay] = closed
        self._drive_coils(t_s)

    def coil_supply(self, t_s: float, on: bool) -> None:
        """The PLC feeds, or cuts, the coils' supply."""
        self._coil_supply = on
        self._drive_coils(t_s)

    def switch(self, t_s: float, element: Element, closed: bool) -> None:
        """The station connects or disconnects an element, at once."""
        self.settle(t_s)
        self._move(self._not_past(t_s), element, closed, driven=True)

    def closed(self, element: Element) -> bool:
        """Whether an element is connected now."""
        return bool(self._timeline.last.state & SWITCHES[element])

    def contact_closed(self, relay: Relay, t_s: float) -> bool:
        """Whether a contactor's contact, not its coil, is closed."""
        return bool(self._segment(t_s).state & SWITCHES[relay])

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        """Voltage of `a` against `b`."""
        if t_s >= self._next_s:
            self.settle(t_s)
        segment = self._timeline.last
        if t_s < segment.start_s:
            segment = self._timeline.at(t_s)
        return segment.voltage(t_s, a, b)

    def waveform(self, t_s: F64, a: Node, b: Node) -> F64:
        """Voltage of `a` against `b` at ascending times, (n,) as `t_s`."""
        if len(t_s):
            self.settle(float(t_s[-1]))
        return self._timeline.waveform(t_s, a, b)

    def loaded_voltage(self, t_s: float, node: Node) -> float:
        """What a 100 kOhm probe from `node` to chassis shows once all is steady: the hazard of touching it."""
        return self._circuit.touch_v(self._segment(t_s).state, node)

    def cell_voltage_v(self, t_s: float) -> F64:
        """(series,) voltages, cell 1 at the negative pole."""
        return self._cells.voltage_v(self.pack_current_a(t_s))

    def temperature_c(self, t_s: float) -> F64:
        """(thermistors,) true temperatures."""
        return self.unit.temperature_c.copy()

    def pack_current_a(self, t_s: float) -> float:
        """Current through the cells; charge counts positive."""
        return (self.voltage(t_s, Node.B_PLUS, Node.B_MINUS) - self._cells.stack_v) / self.unit.series_ohm

    def busbar_voltage_v(self, t_s: float) -> F64:
        """(modules - 1,) voltages along the inter-module bars, with the sign of the pack current."""
        voltage_v: F64 = self.pack_current_a(t_s) * self.unit.busbar_ohm
        return voltage_v

    def insulation_ohm(self) -> tuple[float, float]:
        """Resistance to chassis that plus and minus of the stack see now, through everything connected to them."""
        return self._circuit.insulation_ohm(self._timeline.last.state)

    def _segment(self, t_s: float) -> Segment:
        self.settle(t_s)
        return self._timeline.at(t_s)

    def _not_past(self, t_s: float) -> float:
        return max(t_s, self._timeline.last.start_s)

    def _drive_coils(self, t_s: float) -> None:
        self.settle(t_s)
        for relay, contactor in self._contactors.items():
            contactor.drive(self._not_past(t_s), self._coil_supply and self._commanded[relay])
        self._next_s = min(contactor.next_s for contactor in self._contactors.values())

    def _move(self, t_s: float, name: Relay | Element, closed: bool, *, driven: bool) -> None:
        """Move one switch: a new segment, the ledger, and then whoever watches."""
        segment = self._timeline.last
        bit = SWITCHES[name]
        if bool(segment.state & bit) == closed:
            return
        self._assess(t_s, segment, name, closed, driven)
        state = segment.state ^ bit
        self._timeline.append(Segment(t_s, state, self._circuit.mode(state), segment.potentials_v(t_s)))
        for watch in self.on_switch:
            watch(t_s)

    def _assess(self, t_s: float, segment: Segment, name: Relay | Element, closed: bool, driven: bool) -> None:
        """Enter into the ledger what moving this switch, or what came before it, has damaged."""
        potentials_v = segment.potentials_v(t_s).tolist()
        digitizer = bool(segment.state & SWITCHES[Element.DIGITIZER])
        found: list[Damage | None] = [*rules.overvoltages(t_s, potentials_v, digitizer)]
        if name in CONTACTS and closed:
            across_v = segment.voltage(t_s, *CONTACTS[name])
            if name is Element.LINK_CAPACITOR:
                found.append(rules.hot_route(t_s, name, across_v))
            else:
                found.append(rules.inrush(t_s, name, across_v, self._circuit.inrush_farad(segment.state, name)))
        elif name is Relay.PRECHARGE and closed and driven:
            found.append(self._duty.closed(t_s))
        elif not closed and driven and (name in CONTACTS or name is Relay.PRECHARGE):
            found.append(rules.broken_current(t_s, name, self._circuit.contact_a(segment, t_s, name)))
        self.ledger.extend(damage for damage in found if damage is not None)


def _with_faults(unit: PackUnit, condition: PlantCondition) -> PackUnit:
    precharge_ohm = unit.precharge_ohm if condition.precharge_ohm is None else condition.precharge_ohm
    return replace(
        unit,
        precharge_ohm=precharge_ohm,
        insulation_pos_ohm=_parallel_ohm(unit.insulation_pos_ohm, condition.insulation_pos_ohm),
        insulation_neg_ohm=_parallel_ohm(unit.insulation_neg_ohm, condition.insulation_neg_ohm),
    )


def _parallel_ohm(good_ohm: float, fault_ohm: float | None) -> float:
    return good_ohm if fault_ohm is None else 1.0 / (1.0 / good_ohm + 1.0 / max(fault_ohm, CONTACT_OHM))
