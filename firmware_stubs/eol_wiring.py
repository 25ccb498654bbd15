"""How the simulated end-of-line station is wired: the pack, its BMS and the stubs around it, and the people."""

from __future__ import annotations

from bmsctl.domain.recipe import Recipe
from bmsctl.domain.world import NOT_BUILT, AsBuilt
from firmware_stubs.as_built import remaining
from firmware_stubs.assembly import Drawing, others_of
from firmware_stubs.bms import BmsStub
from firmware_stubs.cycler import CyclerStub
from firmware_stubs.defects import PackCondition
from firmware_stubs.digitizer import DigitizerStub
from firmware_stubs.insulation_tester import InsulationTesterStub
from firmware_stubs.label_printer import LabelPrinterStub
from firmware_stubs.lv_supply import LvSupplyStub
from firmware_stubs.matrix import MatrixStub
from firmware_stubs.monitor import SafetyMonitor
from firmware_stubs.ohmmeter import OhmmeterStub
from firmware_stubs.people import SimMes, SimOperator
from firmware_stubs.plant import Plant
from firmware_stubs.plc import PlcStub
from firmware_stubs.population import facts_of
from firmware_stubs.ports import EOL_ECUS, Wires
from firmware_stubs.scanner import ScannerStub
from firmware_stubs.wiring import StationWiring, energised_by, mated_adapter, pack_serial, variant_of
from firmware_stubs.withstand_tester import WithstandTesterStub


class EolWiring(StationWiring):
    """The end-of-line station: plant and stubs on its wires, and the people around it."""

    ecus = EOL_ECUS

    def __init__(
        self, recipe: Recipe, condition: PackCondition, seed: int, wires: Wires, built: AsBuilt = NOT_BUILT
    ) -> None:
        """`condition`: what was wrong with the pack at first; `built`: what stacking has made of it."""
        super().__init__(wires)
        facts, condition = facts_of(recipe.pack.id), remaining(condition, built)
        self.plant = plant = Plant(facts, condition.plant, seed, others_of(facts, seed, built.parts))
        self.serial = serial = pack_serial(recipe, seed)
        self.module_part_number = Drawing.of(recipe).module_part_number
        self.bms = BmsStub(wires.ecu("bms"), plant, variant_of(recipe, serial), condition.bms, seed)
        self.matrix = MatrixStub(wires.ecu("matrix"), plant, seed)
        self.digitizer = DigitizerStub(wires.instrument("digitizer"), plant, seed)
        self.lv_supply = LvSupplyStub(wires.instrument("lv_supply"), self.bms, seed, on_output=self.rail)
        self.ohmmeter = OhmmeterStub(wires.instrument("ohmmeter"), plant, seed)
        self.insulation_tester = InsulationTesterStub(wires.instrument("insulation_tester"), plant, seed)
        self.withstand_tester = WithstandTesterStub(wires.instrument("withstand_tester"), plant, seed)
        self.cycler = CyclerStub(wires.instrument("cycler"), plant, seed)
        self.scanner = ScannerStub(wires.instrument("scanner"), f"{recipe.pack.part_number};{serial}", seed)
        self.label_printer = LabelPrinterStub(wires.instrument("label_printer"), seed)
        self.operator = SimOperator(seed)
        self.mes = SimMes(plant, self.module_part_number, serial, seed)
        self.monitor = SafetyMonitor(plant, energised_by)
        self.plc = PlcStub(
            wires.ecu("plc"),
            plant,
            seed,
            on_supply=self.supply,
            on_energy=self._feed,
            on_coils=self.matrix.coils,
            on_source=self._enable,
            air_c=plant.station.air_c,
            adapter=mated_adapter(recipe),
        )
        self.tap()

    @property
    def ohmmeter_channels(self) -> int:
        """How many of the ohmmeter's channels are wired."""
        return self.plant.bonding_points

    def _feed(self, on: bool) -> None:
        self.matrix.feed(on)
        self.monitor.permit(on)

    def _enable(self, t_s: float, on: bool) -> None:
        """The PLC's enable line of every source."""
        self.cycler.enable(t_s, on)
        self.insulation_tester.enabled = self.withstand_tester.enabled = on
