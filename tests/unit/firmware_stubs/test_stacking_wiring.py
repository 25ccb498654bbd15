"""The stacking station's far end, wired: who feeds the BMS, what waits in stock, and that a seed gives one pack."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import Instruction, ManualTask
from bmsctl.domain.units import Second
from bmsctl.domain.world import AsBuilt
from bmsctl.protocols.part_label import parse_label
from firmware_stubs.defects import PackCondition
from firmware_stubs.eol_wiring import EolWiring
from firmware_stubs.plant import PlantCondition
from firmware_stubs.ports import STACKING_ECUS, STACKING_SERIAL
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wires import SimWires
from firmware_stubs.stacking_wiring import StackingWiring
from tests.support.simulate import RECIPE

SEED = 7
GOOD = PackCondition()


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def wired(condition: PackCondition = GOOD, built: tuple[str, ...] = ()) -> StackingWiring:
    wires = SimWires(STACKING_ECUS, STACKING_SERIAL)
    return StackingWiring(RECIPE, condition, SEED, wires, AsBuilt(dict.fromkeys(built, "")))


async def do(wiring: StackingWiring, task: ManualTask, part: str = "", text: str = "", detail: str = "") -> None:
    lease = LeaseBook(asyncio.get_running_loop().time).grant("operator", 1.0)
    await wiring.operator.confirm(lease, Instruction(task, part, text, detail), Second(60.0))


def test_every_wire_of_the_station_has_its_device_and_no_other() -> None:
    async def main() -> None:
        wires = SimWires(STACKING_ECUS, STACKING_SERIAL)
        assert set(wires.buses) == {"pack", "station"}
        assert set(wires.lines) == set(STACKING_SERIAL)
        with pytest.raises(KeyError):
            wires.ecu("matrix")

    run(main)


def test_both_stations_have_the_same_pack() -> None:
    async def main() -> None:
        stacking, eol = wired(), EolWiring(RECIPE, GOOD, SEED, SimWires())
        assert stacking.serial == eol.serial
        assert stacking.plant.unit.rest_spread_v.tobytes() == eol.plant.unit.rest_spread_v.tobytes()
        modules = await eol.mes.modules(eol.serial, Second(5.0))
        buffer = await stacking.mes.buffer(RECIPE.pack.part_number, Second(5.0))
        for module, waiting in zip(modules, buffer, strict=False):
            assert (module.serial, module.cell_voltage_v) == (waiting.serial, waiting.cell_voltage_v)

    run(main)


def test_the_bms_has_power_only_through_the_harness() -> None:
    async def main() -> None:
        wiring = wired()
        wiring.rail(True)
        wiring.supply(kl30=True, kl15=True)
        await asyncio.sleep(3.0)
        now_s = asyncio.get_running_loop().time()
        assert wiring.bms.supply_current_a(now_s) == 0.0
        await do(wiring, ManualTask.CONNECT, "harness")
        await asyncio.sleep(3.0)
        now_s = asyncio.get_running_loop().time()
        assert wiring.bms.supply_current_a(now_s) > 0.1
        await do(wiring, ManualTask.OPEN, "signal")
        now_s = asyncio.get_running_loop().time()
        assert wiring.bms.supply_current_a(now_s) == 0.0

    run(main)


def test_what_hands_hold_is_before_the_scanner() -> None:
    async def main() -> None:
        wiring = wired()
        assert wiring.scanner.label is not None
        assert parse_label(wiring.scanner.label).serial == wiring.serial
        await do(wiring, ManualTask.FETCH, "module 1", detail="M24-7-1")
        assert wiring.scanner.label is not None
        assert parse_label(wiring.scanner.label).serial == "M24-7-1"
        assert wiring.operator.in_sight() == wiring.scanner.label

    run(main)


def test_what_is_in_the_pack_does_not_wait_in_stock() -> None:
    async def main() -> None:
        wiring = wired(built=("tray", "module 1", "module 3"))
        buffer = await wiring.mes.buffer(RECIPE.pack.part_number, Second(5.0))
        assert [module.serial for module in buffer] == ["M24-7-2", "M24-7-4", "M24-7-5", "M24-7-6", "M24-7-7"]
        assert await wiring.mes.pack_of("M24-7-1", Second(5.0)) == wiring.serial
        assert await wiring.mes.pack_of("M24-7-2", Second(5.0)) is None
        assert await wiring.mes.pack_of(wiring.serial, Second(5.0)) is None

    run(main)


def test_the_tool_turns_when_the_operator_is_shown_a_bolt_and_the_controller_allows_it() -> None:
    async def main() -> None:
        wiring = wired(built=("tray", "module 1"))
        lease = LeaseBook(asyncio.get_running_loop().time).grant("operator", 1.0)
        await wiring.operator.show(lease, Instruction(ManualTask.TIGHTEN, "bolt m1.1", "tighten"))
        await asyncio.sleep(10.0)
        assert wiring.build.torque_nm == {}

    run(main)


def test_a_joint_has_the_resistance_that_a_scenario_gives_it() -> None:
    async def main() -> None:
        wiring = wired(PackCondition(PlantCondition(joint_ohm={10: 52e-6})), ("busbar 5",))
        wiring.probes.put_tips("j10")
        assert wiring.probes.bonding_ohm(1) == 52e-6
        wiring.probes.put_tips("j9")
        assert wiring.probes.bonding_ohm(1) < 30e-6

    run(main)


def test_the_insulation_tester_is_enabled_by_the_plc_only() -> None:
    async def main() -> None:
        wiring = wired()
        assert not wiring.insulation_tester.enabled
        wiring.plc.energy.enable_source(0.0, True)
        assert wiring.insulation_tester.enabled

    run(main)


def test_damage_to_the_pack_is_a_finding() -> None:
    async def main() -> None:
        wiring = wired(built=("module 1",))
        wiring.build.tighten("m1.1", 3)
        assert wiring.monitor.finish() == []
        wiring.build.tighten("m1.1", 3)
        (finding,) = wiring.monitor.finish()
        assert finding.startswith("damage: bolt m1.1 tightened though it was tight at ")

    run(main)
