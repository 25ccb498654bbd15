"""How the simulated stacking station is wired: meters on the pack under construction, its BMS, and who builds it."""

from __future__ import annotations

import asyncio

from bmsctl.domain.ports import Instruction
from bmsctl.domain.recipe import STACKING, Recipe
from bmsctl.domain.world import NOT_BUILT, AsBuilt
from bmsctl.protocols.part_label import PartLabel, encode_label
from firmware_stubs.as_built import remaining
from firmware_stubs.assembly import (
    SPARES,
    Drawing,
    Hands,
    HarnessedPlant,
    PackUnderConstruction,
    Probes,
    ProvedPlant,
    Volumes,
    lot_of,
)
from firmware_stubs.battery_tester import BatteryTesterStub
from firmware_stubs.bms import BmsStub
from firmware_stubs.defects import PackCondition
from firmware_stubs.insulation_tester import InsulationTesterStub
from firmware_stubs.label_printer import LabelPrinterStub
from firmware_stubs.leak_tester import LeakTesterStub
from firmware_stubs.lv_supply import LvSupplyStub
from firmware_stubs.monitor import SafetyMonitor
from firmware_stubs.nutrunner import NutrunnerStub
from firmware_stubs.ohmmeter import OhmmeterStub
from firmware_stubs.people import SimMes, SimOperator, Stock
from firmware_stubs.plant import Plant
from firmware_stubs.plc import PlcStub
from firmware_stubs.population import draw_assembly, facts_of
from firmware_stubs.ports import STACKING_ECUS, Wires
from firmware_stubs.scanner import ScannerStub
from firmware_stubs.wiring import StationWiring, energised_by, mated_adapter, pack_serial, variant_of


class StackingMonitor(SafetyMonitor):
    """Judges what happens to the pack under construction, too."""

    def __init__(self, plant: Plant, build: PackUnderConstruction) -> None:
        super().__init__(plant, energised_by)
        self._build = build

    def finish(self) -> list[str]:
        """All findings, as of a station that says it is safe."""
        return super().finish() + [f"damage: {damage.text} at {damage.t_s:.3f} s" for damage in self._build.ledger]


class StackingWiring(StationWiring):
    """The stacking station: pack under construction and stubs on its wires, and the people around it."""

    ecus = STACKING_ECUS

    def __init__(
        self,
        recipe: Recipe,
        condition: PackCondition,
        seed: int,
        wires: Wires,
        built: AsBuilt = NOT_BUILT,
    ) -> None:
        """`condition`: what was wrong with the pack at first; `built`: how it stands when it arrives."""
        super().__init__(wires)
        facts, condition = facts_of(recipe.pack.id), remaining(condition, built)
        drawing = Drawing.of(recipe)
        self.serial = serial = pack_serial(recipe, seed)
        self.plant = plant = Plant(facts, condition.plant, seed)
        lot = lot_of(plant, condition.assembly, drawing.module_part_number, seed)
        unit, air_c = draw_assembly(facts, seed, SPARES), plant.station.air_c
        self.build = build = PackUnderConstruction(drawing, lot, condition.assembly, seed)
        build.begin(built.parts)
        joint_ohm = unit.joint_ohm.copy()
        for joint, ohm in condition.plant.joint_ohm.items():
            joint_ohm[joint - 1] = ohm
        self.probes = probes = Probes(build, joint_ohm, air_c, hvil_open=condition.plant.hvil_open)
        volumes = Volumes(build, facts, unit, condition.assembly, air_c)
        self._pack = HarnessedPlant(plant, build, probes)
        self._loop = asyncio.get_running_loop()
        self.bms = BmsStub(wires.ecu("bms"), self._pack, variant_of(recipe, serial), condition.bms, seed)
        build.on_plug.append(self.power_bms)
        label = encode_label(PartLabel(_tray_part_number(recipe), serial))
        self.scanner = ScannerStub(wires.instrument("scanner"), label, seed)
        self.battery_tester = BatteryTesterStub(wires.instrument("battery_tester"), probes, seed)
        self.ohmmeter = OhmmeterStub(wires.instrument("ohmmeter"), probes, seed)
        self.ohmmeter.temperature_c = probes.temperature_c
        self.insulation_tester = InsulationTesterStub(wires.instrument("insulation_tester"), probes.insulated, seed)
        self.nutrunner = NutrunnerStub(wires.instrument("nutrunner"), build, seed)
        self.leak_tester = LeakTesterStub(wires.instrument("leak_tester"), volumes, seed)
        self.lv_supply = LvSupplyStub(wires.instrument("lv_supply"), self.bms, seed, on_output=self.rail)
        self.label_printer = LabelPrinterStub(wires.instrument("label_printer"), seed)
        self._hands = Hands(build, probes, volumes, label=label, printed=self._printed, pull=self.nutrunner.pull)
        self.operator = SimOperator(seed)
        self.operator.hands, self.operator.reaching = self._act, build.touch
        self.operator.in_sight = lambda: self._hands.label
        self.mes = SimMes(plant, drawing.module_part_number, serial, seed, self._stock())
        self.monitor = StackingMonitor(plant, build)
        self.plc = PlcStub(
            wires.ecu("plc"),
            ProvedPlant(plant, probes.insulated),
            seed,
            on_supply=self.supply,
            on_energy=self.monitor.permit,
            on_source=self._enable,
            air_c=air_c,
            adapter=mated_adapter(recipe),
        )
        self.tap()

    @property
    def bms_plugged(self) -> bool:
        """Whether harness and signal connector are plugged."""
        return self.build.bms_plugged

    @property
    def ohmmeter_channels(self) -> int:
        """How many of the ohmmeter's channels are wired."""
        return self.probes.bonding_points

    def _act(self, instruction: Instruction) -> None:
        """A person has done what was asked."""
        self._hands(instruction)
        self.scanner.label = self._hands.label
        self._pack.look(self._loop.time())

    def _printed(self) -> str | None:
        label = self.label_printer.printed[-1] if self.label_printer.printed else None
        return None if label is None else label.code

    def _stock(self) -> Stock:
        """What waits: the modules that are not in the pack yet."""
        lot, inside = self.build.lot, {module.serial for module in self.build.modules.values()}
        waiting = tuple(module.serial for module in (*lot.own, *lot.spares) if module.serial not in inside)
        return Stock(lot.data, waiting, dict.fromkeys(sorted(inside), self.serial))

    def _enable(self, t_s: float, on: bool) -> None:
        """The PLC's enable line of the only source."""
        self.insulation_tester.enabled = on


def _tray_part_number(recipe: Recipe) -> str:
    return next(step for step in recipe.steps(STACKING) if step.run == "tray").text("part_number")
