"""The pack under construction: which parts are where, what joins them, and what gets damaged on the way.

It knows the truth only. What the station sees of it, it sees through the meters' targets in `probes`, through the
pack's BMS, and through what people say that they have done.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from bmsctl.domain.parts import BMS, COVER, HARNESS, TRAY, busbar_slot, held_by, joined_by, kind_of, number_of
from firmware_stubs.assembly import ledger as rules
from firmware_stubs.assembly.condition import AssemblyCondition
from firmware_stubs.assembly.drawing import Drawing
from firmware_stubs.assembly.ledger import Damage
from firmware_stubs.assembly.module import Lot, Module
from firmware_stubs.noise import draw

PROCESS_SHARE = 0.009
"""Standard deviation of a torque reached, of what was aimed at."""
ANGLE_DEG, ANGLE_SD_DEG = 90.0, 10.0
SIGNAL, DISCONNECT = "signal", "service_disconnect"
"""Connectors that are more than a part of the interlock loop: the BMS's own, and that which opens the stack."""


class PackUnderConstruction:
    """One pack on its carrier; build it inside a running loop. `ledger`: what has been damaged.

    `modules`: by slot. `torque_nm`: of the bolts that are in. `mated`: connectors that are plugged. `on_plug`: called
    when a plug may have been plugged or pulled.
    """

    def __init__(self, drawing: Drawing, lot: Lot, condition: AssemblyCondition, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._condition = condition
        self._seed = seed
        self._made: Counter[str] = Counter()
        self._touching = False
        self.drawing, self.lot = drawing, lot
        self.ledger: list[Damage] = []
        self.tray = self.cover = self.harness = False
        self.modules: dict[int, Module] = {}
        self.busbars: set[int] = set()
        self.torque_nm: dict[str, float] = {}
        self.mated: set[str] = set()
        self.on_plug: list[Callable[[], None]] = []
        self.test_voltage: Callable[[float], float] = lambda t_s: 0.0
        """Of the insulation tester, where hands can be."""

    @property
    def reversed(self) -> frozenset[int]:
        """Slots whose module lies the wrong way round."""
        return self._condition.turned & self.modules.keys()

    @property
    def tight(self) -> bool:
        """Whether the cover closes the housing."""
        return self.cover and all(
            self.torque_nm.get(bolt, 0.0) >= (1.0 - rules.FAR_OFF_SHARE) * self.drawing.joint_nm[bolt]
            for bolt in self.drawing.cover_bolts
        )

    def begin(self, built: Collection[str]) -> None:
        """Let these slots be filled when the pack arrives; of a mapping, a module's value is its serial."""
        serials = built if isinstance(built, Mapping) else {}
        for slot in built:
            if kind_of(slot) == "module":
                number = number_of(slot)
                module = self.lot.find(str(serials.get(slot)))
                self.modules[number] = self.lot.own[number - 1] if module is None else module
            elif kind_of(slot) == "busbar":
                self.busbars.add(number_of(slot))
            elif kind_of(slot) == "bolt":
                bolt = slot.partition(" ")[2]
                self.torque_nm[bolt] = self.drawing.joint_nm[bolt]
        self.tray, self.cover, self.harness = TRAY in built, COVER in built, HARNESS in built and BMS in built
        if self.harness:
            self.mated.update((SIGNAL, *self.drawing.connectors))

    def touch(self, on: bool) -> None:
        """Hands reach into the station, or are out of it."""
        self._touching = on
        self.look()

    def look(self) -> None:
        """Enter into the ledger what hands touch now."""
        now_s = self._loop.time()
        if self._touching:
            self._enter(rules.touched(now_s, self.test_voltage(now_s)))

    def put_in(self, slot: int, module: Module) -> None:
        """A module into its slot."""
        self.modules[slot] = module

    def lay(self, busbar: int) -> None:
        """A busbar onto the modules that it joins."""
        turned = sorted(self.reversed.intersection(joined_by(busbar, self.drawing.modules)))
        self._enter(rules.shorted(self._loop.time(), busbar_slot(busbar), turned))
        self.busbars.add(busbar)

    def tighten(self, bolt: str, parameter_set: int) -> tuple[float, float]:
        """Drive a bolt by a parameter set of the controller; true torque in newtonmetres, angle in degrees.

        A bolt that is not in is put in first.
        """
        now_s, joint_nm = self._loop.time(), self.drawing.joint_nm[bolt]
        aim_nm = self.drawing.set_nm.get(parameter_set)
        self._enter(rules.wrong_set(now_s, bolt, aim_nm, joint_nm))
        self._enter(rules.tightened_twice(now_s, bolt, bolt in self.torque_nm))
        self._enter(rules.nothing_held(now_s, bolt, held_by(bolt), self.holds(held_by(bolt))))
        number = self._made[bolt]
        self._made[bolt] += 1
        deviates = draw(self._seed, f"assembly.bolt.{bolt}").standard_normal(2 * number + 2)[-2:].tolist()
        wanted_nm = joint_nm if aim_nm is None else aim_nm
        torque_nm = self._condition.bolt_torque.get(bolt, wanted_nm * (1.0 + PROCESS_SHARE * deviates[0]))
        self.torque_nm[bolt] = torque_nm
        return torque_nm, ANGLE_DEG + ANGLE_SD_DEG * deviates[1]

    def loosen(self, bolt: str) -> None:
        """A bolt out, and away."""
        if kind_of(held_by(bolt)) == "busbar":
            self._enter(rules.live_busbar(self._loop.time(), f"bolt {bolt}", self._closing()))
        self.torque_nm.pop(bolt, None)

    def remove(self, slot: str) -> None:
        """Take a part out, and nothing else."""
        kind = kind_of(slot)
        if kind == "bolt":
            self.loosen(slot.partition(" ")[2])
        elif kind == "module":
            self.modules.pop(number_of(slot), None)
        elif kind == "busbar":
            self._enter(rules.live_busbar(self._loop.time(), slot, self._closing()))
            self.busbars.discard(number_of(slot))
        elif kind == COVER:
            self.cover = False
        elif kind in (HARNESS, BMS):
            self.connect(on=False)

    def connect(self, *, on: bool) -> None:
        """Plug the harness into modules and BMS, and the signal connector; or pull the harness."""
        self.harness = on
        if on:
            self.mated.add(SIGNAL)
        self._plugged()

    def mate(self, connector: str, *, on: bool) -> None:
        """Plug or unplug a connector."""
        (self.mated.add if on else self.mated.discard)(connector)
        self._plugged()

    @property
    def bms_plugged(self) -> bool:
        """Whether the BMS is in, and connected to the station."""
        return self.harness and SIGNAL in self.mated

    def holds(self, slot: str) -> bool:
        """Whether a part is in; of tray, modules, busbars and cover."""
        if kind_of(slot) == "module":
            return number_of(slot) in self.modules
        if kind_of(slot) == "busbar":
            return number_of(slot) in self.busbars
        return self.cover if slot == COVER else self.tray

    def _plugged(self) -> None:
        for watch in self.on_plug:
            watch()

    def _closing(self) -> list[str]:
        """What closes a circuit through the busbars."""
        there = {"the sense harness": self.harness, "the service disconnect": DISCONNECT in self.mated}
        return [what for what, on in there.items() if on]

    def _enter(self, damage: Damage | None) -> None:
        if damage is not None:
            self.ledger.append(damage)
