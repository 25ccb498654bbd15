"""The stacking station's side of a contract, and what hands do at its far end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from bmsctl.compose.stacking import devices_of
from bmsctl.domain.parts import TRAY, module_slot
from bmsctl.domain.ports import Instruction, LeakTest, ManualTask
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.units import Ohm, Pascal, Second, Volt
from bmsctl.domain.world import Site
from bmsctl.stations.stacking.safe import StackingSafe
from firmware_stubs.assembly import Module
from firmware_stubs.disturbances import Disturbances
from firmware_stubs.faults import FAULTS
from firmware_stubs.stacking_wiring import StackingWiring
from tests.contract.people import SimPerson
from tests.contract.station import AnyStation

QUIET_S = 0.1
"""Within so long every byte that leaves the station is heard at the far end."""

PRESSURE = Pascal(20e3)
FILL, SETTLE, TEST = Second(2.0), Second(1.0), Second(3.0)


class Hands:
    """The devices at the far end of a stacking station's wires, in this process; implements `station.FarEnd`.

    The pack has its modules, which wait for their bolts. `heard`: telegrams that have left the station, by device.
    """

    def __init__(self, wiring: StackingWiring, seed: int) -> None:
        self.wiring = wiring
        wiring.build.begin((TRAY, *map(module_slot, range(1, wiring.build.drawing.modules + 1))))
        self.heard: Counter[str] = Counter()
        self._disturbances = Disturbances(wiring, seed)
        self._then = wiring.wires.on_bytes
        wiring.wires.on_bytes = self._hear

    async def disturb(self, fault: str, device: str, on: bool) -> None:
        FAULTS[fault].act(self._disturbances, device, on)

    async def reset_plc(self) -> None:
        self.wiring.plc.reset()

    def act(self, task: ManualTask, part: str, text: str = "", detail: str = "") -> None:
        """What an instruction asks for is done."""
        self.wiring.operator.hands(Instruction(task, part, text, detail))

    def _hear(self, device: str, data: bytes) -> None:
        self.heard[device] += 1
        if self._then is not None:
            self._then(device, data)


class Stacking(AnyStation):
    """The stacking station. `hands`: its far end."""

    kind = "stacking"

    def __init__(self, site: Site, hands: Hands, recipe: Recipe) -> None:
        super().__init__(site, hands, recipe, StackingSafe)
        self.hands = hands
        self.devices = devices_of(site, recipe.pack)
        self.mes = site.mes
        self.person = SimPerson(hands.wiring.operator)
        self._bolts = iter(self.step("bolts").names("bolts"))

    @contextlib.asynccontextmanager
    async def sends_nothing(self, device: str) -> AsyncIterator[None]:
        """See that nothing leaves for a device in the block, nor soon after it; it has been spoken to before."""
        await asyncio.sleep(QUIET_S)
        before = self.hands.heard[device]
        assert before > 0
        yield
        await asyncio.sleep(QUIET_S)
        assert self.hands.heard[device] == before

    async def frame_on_module(self) -> None:
        """A module that waits lies on the test table, with the contact frame on."""
        self.hands.act(ManualTask.FETCH, module_slot(1), detail=self.waiting.serial)
        self.hands.act(ManualTask.PROBE, module_slot(1))

    @property
    def waiting(self) -> Module:
        """A module that is not in the pack."""
        return self.hands.wiring.build.lot.spares[0]

    @property
    def battery_ranges(self) -> tuple[Volt, Ohm]:
        """Those of the recipe for a module."""
        step = self.step("modules_in")
        return Volt(step.quantity("voltage_range")), Ohm(step.quantity("resistance_range"))

    @property
    def vin(self) -> str:
        """What the tightenings of this pack are filed under."""
        return self.hands.wiring.serial

    @property
    def parameter_set(self) -> int:
        """The one for the modules' bolts."""
        return self.step("bolts").count("parameter_set")

    async def enabled(self) -> None:
        """The tool may turn once."""
        await self.devices.nutrunner.enable(self.lease("nutrunner"), self.vin, self.parameter_set)

    def pull(self) -> None:
        """Somebody holds the tool onto the next bolt and pulls its trigger."""
        self.hands.wiring.nutrunner.pull(next(self._bolts))

    @property
    def leak_test(self) -> LeakTest:
        """A short test of the coolant plate at a low pressure."""
        return LeakTest(self.step("coolant_leak").count("channel"), PRESSURE, FILL, SETTLE, TEST)

    async def hose_on_plate(self) -> None:
        """The leak tester's hose is on the coolant plate."""
        self.hands.act(ManualTask.CONNECT, self.step("coolant_leak").text("port"))

    def gauge_pa(self) -> float:
        """True pressure in what the leak tester has filled."""
        return self.hands.wiring.leak_tester.gauge_pa

    async def tightened(self) -> None:
        """Somebody tightens the next bolt with the enabled tool, which has then stopped by itself."""
        self.pull()
        await self.until(lambda: not self.hands.wiring.nutrunner.enabled)
