"""The plant: one pack on one station, advanced only when someone looks or acts."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bmsctl.domain.ports import Relay
from firmware_stubs.plant import ledger as rules
from firmware_stubs.plant.breakdown import Flash, next_flash
from firmware_stubs.plant.cells import Cells, Flow
from firmware_stubs.plant.circuit import CONTACTS, SWITCHES, TESTER_REST_OHM, Circuit, Element
from firmware_stubs.plant.condition import Others, PlantCondition, damaged, rebuilt
from firmware_stubs.plant.contactor import Contactor
from firmware_stubs.plant.harness import Harness
from firmware_stubs.plant.history import History
from firmware_stubs.plant.ledger import Damage, DamageRule, PrechargeDuty
from firmware_stubs.plant.network import Node, Segment, Timeline
from firmware_stubs.population import PackFacts, draw_pack, draw_station

F64 = NDArray[np.float64]

NO_OTHERS: Others = MappingProxyType({})
CHARGING = SWITCHES[Relay.MAIN_PLUS] | SWITCHES[Relay.MAIN_MINUS] | SWITCHES[Element.CYCLER]
"""What must be closed for the cycler's current to flow."""


class Incoming(NamedTuple):
    """What the incoming inspection has on record for a slot; `voltage_v`: rest voltages from the negative pole."""

    slot: int
    age_s: float
    voltage_v: tuple[float, ...]


class Plant:
    """Pack, contactors and the station's high-voltage elements, at rest since ever. Times are loop times.

    Inputs take effect at `t_s`, or at the newest event if that is later. Values are told for any time from
    REMEMBERED_S before the newest event up to now; asking for a later time settles it: later inputs cannot precede
    contact movements already seen. Coils are dead until `coil_supply` is on. `ledger`: what has been damaged.
    `on_switch`: called with the time of every event, once it has happened.
    """

    def __init__(self, pack: PackFacts, condition: PlantCondition, seed: int, others: Others = NO_OTHERS) -> None:
        unit = rebuilt(pack, damaged(pack, draw_pack(pack, seed), condition), others)
        self.facts = pack
        self.unit = unit
        self.station = draw_station(seed)
        self.ledger: list[Damage] = []
        self.on_switch: list[Callable[[float], None]] = []
        self._condition = condition
        self._cells = Cells(unit)
        self._flow = History(-math.inf, Flow.at_rest(self._cells))
        self._harness = Harness(pack.series, unit.sense_ohm, condition.balancing_stuck, condition.sense_open)
        self._hvil = History(-math.inf, True)
        self._contactors = {relay: Contactor(relay, seed, condition.seized(relay)) for relay in Relay}
        self._commanded = dict.fromkeys(Relay, False)
        self._coil_supply = False
        self._duty = PrechargeDuty()
        self._overvoltages: set[DamageRule] = set()
        self._tester_v, self._tester_ohm = 0.0, TESTER_REST_OHM
        self.series_ohm = float(self._cells.ohmic_ohm.sum() + unit.busbar_ohm.sum()) + unit.terminal_ohm
        self._circuit = Circuit(unit, self.station, self.series_ohm)
        self._timeline = Timeline(self._since_ever())
        self._flash: Flash | None = None
        self._next_s = math.inf
        self._expect_flash()

    @property
    def stack_v(self) -> float:
        """The cells' rest voltages when the pack arrived, added up."""
        return self._cells.stack_v

    @property
    def bonding_points(self) -> int:
        """How many points of the housing are bonded."""
        return len(self.unit.bonding_ohm)

    def bonding_ohm(self, point: int) -> float:
        """Resistance from a point of the housing (from 1) to chassis.

        Raises:
            ValueError: there is no such point.
        """
        if not 1 <= point <= self.bonding_points:
            raise ValueError(f"bonding point {point}: there are {self.bonding_points}")
        return float(self.unit.bonding_ohm[point - 1])

    def incoming_modules(self) -> list[Incoming]:
        """What is on record of the modules, by slot from the negative pole."""
        voltage_v = self._cells.incoming_v.reshape(self.facts.modules, -1).tolist()
        if self._condition.modules_swapped is not None:
            a, b = self._condition.modules_swapped
            voltage_v[a - 1], voltage_v[b - 1] = voltage_v[b - 1], voltage_v[a - 1]
        return [Incoming(slot, self.unit.age_s, tuple(volts)) for slot, volts in enumerate(voltage_v, 1)]

    def settle(self, t_s: float) -> None:
        """Let everything happen that is due by `t_s` without anybody's doing: contacts moving, arcs."""
        while self._next_s <= t_s:
            contactor = min(self._contactors.values(), key=lambda contactor: contactor.next_s)
            flash = self._flash
            if flash is not None and flash.t_s < contactor.next_s:
                self._move(flash.t_s, flash.name, flash.closed, driven=False)
                continue
            change = contactor.step()
            self._plan()
            self._move(change.t_s, contactor.relay, change.closed, driven=change.driven)

    def relay_command(self, t_s: float, relay: Relay, closed: bool) -> None:
        """The BMS energises, or no longer energises, a contactor's coil."""
        self._commanded[relay] = closed
        self._drive_coils(t_s)

    def refuse(self, relay: Relay, closing: bool | None) -> None:
        """A contactor's contact no longer follows its coil when it should close (True) or open (False); None: again."""
        self._contactors[relay].refuses = closing

    def coil_supply(self, t_s: float, on: bool) -> None:
        """The PLC feeds, or cuts, the coils' supply."""
        self._coil_supply = on
        self._drive_coils(t_s)

    def switch(self, t_s: float, element: Element, closed: bool) -> None:
        """Connect or disconnect an element, at once."""
        self.settle(t_s)
        self._move(self._not_past(t_s), element, closed, driven=True)

    def cycler_current(self, t_s: float, amps: float) -> None:
        """The cycler drives this current, charge positive, from now on; none unless it is connected to the stack."""
        self.settle(t_s)
        now_s = self._not_past(t_s)
        if self._timeline.last.state & CHARGING != CHARGING:
            amps = 0.0
        flow = self._flow.last
        if amps != flow.current_a:
            self._flow.append(now_s, flow.changed(now_s, amps))
            self._drive(now_s)

    def tester_source(self, t_s: float, volts: float, ohm: float) -> None:
        """The tester drives its output to this voltage against chassis through `ohm`, from now on."""
        self.settle(t_s)
        if (volts, ohm) != (self._tester_v, self._tester_ohm):
            self._tester_v, self._tester_ohm = volts, ohm
            self._drive(self._not_past(t_s))

    def bleed(self, t_s: float, cells: int) -> None:
        """The BMS commands exactly these balancing switches on: a bitmap, cell 1 the lowest bit."""
        self._harness.bleed(t_s, cells)

    def bridge_hvil(self, t_s: float, closed: bool) -> None:
        """The station closes, as it has at first, or opens its part of the interlock loop."""
        self._hvil.append(t_s, closed)

    def hvil_closed(self, t_s: float) -> bool:
        """Whether the interlock loop is closed, in the pack and in the station."""
        return self._hvil.at(t_s) and not self._condition.hvil_open

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
            self.settle(t_s.item(-1))
        return self._timeline.waveform(t_s, a, b)

    def loaded_voltage(self, t_s: float, node: Node) -> float:
        """What a 100 kOhm probe from `node` to chassis shows once all is steady: the hazard of touching it."""
        return self._circuit.touch_v(self._segment(t_s), t_s, node)

    def tester_current_a(self, t_s: float) -> float:
        """Current out of the tester's output."""
        return self._circuit.tester_a(self._segment(t_s), t_s)

    def cell_voltage_v(self, t_s: float) -> F64:
        """(series,) voltages at the monitoring chips' inputs, cell 1 at the negative pole, NaN behind an open wire."""
        charge_a = self.pack_current_a(t_s)
        cell_v = self._flow.at(t_s).cell_emf_v(t_s) + charge_a * self._cells.ohmic_ohm
        return self._harness.seen_v(t_s, cell_v)

    def temperature_c(self, t_s: float) -> F64:
        """(thermistors,) true temperatures."""
        return self.unit.temperature_c.copy()

    def pack_current_a(self, t_s: float) -> float:
        """Current through the cells; charge counts positive."""
        segment = self._segment(t_s)
        return (segment.voltage(t_s, Node.B_PLUS, Node.B_MINUS) - segment.stack_v(t_s)) / self.series_ohm

    def charge_ah(self, t_s: float) -> float:
        """Net charge since the beginning, as far as the cycler moved it; charge counts positive."""
        self.settle(t_s)
        return self._flow.at(t_s).charge_ah(t_s)

    def soc(self, t_s: float) -> float:
        """Mean state of charge, 0 to 1."""
        self.settle(t_s)
        return float(self._flow.at(t_s).cell_soc(t_s).mean())

    def busbar_voltage_v(self, t_s: float) -> F64:
        """(modules - 1,) voltages along the inter-module bars, with the sign of the pack current."""
        voltage_v: F64 = self.pack_current_a(t_s) * self.unit.busbar_ohm
        return voltage_v

    def insulation_ohm(self) -> tuple[float, float]:
        """Resistance to chassis that plus and minus of the stack see now, through everything connected to them."""
        return self._circuit.insulation_ohm(self._timeline.last.mode)

    def _since_ever(self) -> Segment:
        state = SWITCHES[Element.PLC_METER] | SWITCHES[Element.DIVIDERS]
        for relay, contactor in self._contactors.items():
            state |= SWITCHES[relay] * contactor.closed
        mode = self._circuit.mode(state, self._tester_ohm)
        source = np.array([self.stack_v, 0.0, self._tester_v])
        return Segment(-math.inf, state, mode, source, mode.unit_v @ source)

    def _segment(self, t_s: float) -> Segment:
        if t_s >= self._next_s:
            self.settle(t_s)
        segment = self._timeline.last
        return segment if t_s >= segment.start_s else self._timeline.at(t_s)

    def _not_past(self, t_s: float) -> float:
        return max(t_s, self._timeline.last.start_s)

    def _drive_coils(self, t_s: float) -> None:
        self.settle(t_s)
        for relay, contactor in self._contactors.items():
            contactor.drive(self._not_past(t_s), self._coil_supply and self._commanded[relay])
        self._plan()

    def _move(self, t_s: float, name: str, closed: bool, *, driven: bool) -> None:
        """Move one switch."""
        segment = self._timeline.last
        if bool(segment.state & SWITCHES[name]) == closed:
            return
        self._assess(t_s, segment, name, closed, driven)
        state = segment.state ^ SWITCHES[name]
        before_v = segment.potentials_v(t_s)
        if name == Element.CYCLER and closed:
            before_v = self._circuit.with_cycler_v(before_v)
        flow = self._flow.last
        if flow.current_a and state & CHARGING != CHARGING:
            self._flow.append(t_s, flow.changed(t_s, 0.0))
        self._begin(t_s, state, before_v)

    def _drive(self, t_s: float) -> None:
        """Take over a source that has changed."""
        segment = self._timeline.last
        before_v = segment.potentials_v(t_s)
        self._assess_voltages(t_s, segment, before_v)
        self._begin(t_s, segment.state, before_v)

    def _begin(self, t_s: float, state: int, before_v: F64) -> None:
        """A new segment, and then whoever watches."""
        flow = self._flow.last
        source = np.array([flow.strength(t_s), flow.current_a, self._tester_v])
        mode = self._circuit.mode(state, self._tester_ohm)
        drift = flow if flow.drifting(t_s) else None
        self._timeline.append(t_s, Segment(t_s, state, mode, source, before_v, drift))
        self._expect_flash()
        for watch in self.on_switch:
            watch(t_s)

    def _expect_flash(self) -> None:
        breakdown_v = self._condition.breakdown_v
        self._flash = None if breakdown_v is None else next_flash(self._timeline.last, breakdown_v)
        self._plan()

    def _plan(self) -> None:
        """When something happens next without anybody's doing."""
        self._next_s = min(contactor.next_s for contactor in self._contactors.values())
        if self._flash is not None:
            self._next_s = min(self._next_s, self._flash.t_s)

    def _assess(self, t_s: float, segment: Segment, name: str, closed: bool, driven: bool) -> None:
        """Enter into the ledger what moving this switch, or what came before it, has damaged."""
        self._assess_voltages(t_s, segment, segment.potentials_v(t_s))
        found: Damage | None = None
        if name in CONTACTS and closed:
            across_v = segment.voltage(t_s, *CONTACTS[name])
            if isinstance(name, Relay):
                found = rules.inrush(t_s, name, across_v, self._circuit.inrush_farad(segment.state, name))
            else:
                found = rules.hot_route(t_s, name, across_v)
        elif name == Relay.PRECHARGE and closed and driven:
            found = self._duty.closed(t_s)
        elif not closed and driven and (name in CONTACTS or name == Relay.PRECHARGE):
            found = rules.broken_current(t_s, name, self._circuit.contact_a(segment, t_s, name))
        if found is not None:
            self.ledger.append(found)

    def _assess_voltages(self, t_s: float, segment: Segment, potentials_v: F64) -> None:
        """Enter what is over its voltage, once for as long as it lasts."""
        dividers = bool(segment.state & SWITCHES[Element.DIVIDERS])
        digitizer = bool(segment.state & SWITCHES[Element.DIGITIZER])
        damages = rules.overvoltages(t_s, potentials_v.tolist(), dividers=dividers, digitizer=digitizer)
        self.ledger.extend(damage for damage in damages if damage.rule not in self._overvoltages)
        self._overvoltages = {damage.rule for damage in damages}
