"""Everything one unit measures with."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_stubs.bms.charge import ChargeCounter
from firmware_stubs.bms.condition import BmsCondition
from firmware_stubs.bms.dtcs import View
from firmware_stubs.bms.imd import InsulationMonitor
from firmware_stubs.bms.interlock import Interlock
from firmware_stubs.bms.measure import BmsPlant, FrontEnd


@dataclass(frozen=True, slots=True)
class Sensors:
    """Front end, insulation monitor, interlock input and charge counter of one unit."""

    front_end: FrontEnd
    monitor: InsulationMonitor
    interlock: Interlock
    charge: ChargeCounter

    @classmethod
    def of(cls, plant: BmsPlant, capacity_ah: float, condition: BmsCondition, seed: int) -> Sensors:
        """As the seed draws them, with what is wrong with them."""
        front_end = FrontEnd(plant, condition, seed)
        monitor = InsulationMonitor(plant, condition.imd_gain, seed)
        return cls(front_end, monitor, Interlock(plant, seed), ChargeCounter(front_end, capacity_ah, seed))

    def wake(self, t_s: float) -> None:
        """Begin to measure."""
        self.monitor.switch(t_s, True)
        self.interlock.wake(t_s)
        self.charge.wake(t_s)

    def halt(self, t_s: float) -> None:
        """Stop measuring."""
        self.monitor.switch(t_s, False)
        self.charge.halt(t_s)

    def view(self, t_s: float) -> View:
        """What the trouble code monitors judge by."""
        front_end = self.front_end
        return View(
            cell_v=front_end.cell_v(t_s),
            temperature_c=front_end.temperature_c(t_s),
            taps=front_end.taps(t_s),
            insulation_ohm=self.monitor.settled_ohm(t_s),
            interlock_broken=self.interlock.was_broken(t_s),
        )
