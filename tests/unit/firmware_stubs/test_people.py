"""The simulated operator and the simulated manufacturing execution system."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.ports import Instruction, ManualTask, ModuleData
from bmsctl.domain.units import Ohm, Second, Volt
from bmsctl.errors import DeviceRefused, DeviceTimeout, LeaseRevoked
from firmware_stubs.people import SimMes, SimOperator, Stock
from firmware_stubs.plant import Plant, PlantCondition
from firmware_stubs.population import facts_of
from firmware_stubs.sim.loop import new_loop

SERIAL = "AS52000000001"


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def now() -> float:
    return asyncio.get_running_loop().time()


def lease() -> Lease:
    return LeaseBook(now).grant("operator", 1.0)


def test_the_operator_confirms_after_two_to_four_seconds() -> None:
    async def main() -> None:
        operator, right = SimOperator(1), lease()
        taken = []
        for _ in range(50):
            asked_s = now()
            await operator.confirm(right, Instruction(ManualTask.DOCK, "", "connect the pack"), Second(60.0))
            taken.append(now() - asked_s)
            assert right.fresh
        assert 2.0 < min(taken) < 2.3
        assert 3.7 < max(taken) < 4.0
        assert operator.seen == ["connect the pack"] * 50

    run(main)


def test_an_absent_a_slow_and_an_unwilling_operator() -> None:
    async def main() -> None:
        operator = SimOperator(1)
        with pytest.raises(DeviceTimeout, match="within 1 s"):
            await operator.confirm(lease(), Instruction(ManualTask.DOCK, "", "dock"), Second(1.0))
        assert now() == 1.0
        operator.absent = True
        with pytest.raises(DeviceTimeout, match="dock"):
            await operator.confirm(lease(), Instruction(ManualTask.DOCK, "", "dock"), Second(10.0))
        operator.absent, operator.refusal = False, "the connector is bent"
        with pytest.raises(DeviceRefused, match="bent"):
            await operator.confirm(lease(), Instruction(ManualTask.DOCK, "", "dock"), Second(10.0))
        right = lease()
        right.revoked = True
        with pytest.raises(LeaseRevoked):
            await operator.confirm(right, Instruction(ManualTask.DOCK, "", "dock"), Second(10.0))

    run(main)


TIGHTEN = Instruction(ManualTask.TIGHTEN, "bolt m1.1", "tighten")


def test_hands_act_when_the_task_is_done_and_are_in_the_station_until_then() -> None:
    async def main() -> None:
        operator, told = SimOperator(1), list[tuple[float, str]]()
        operator.hands = lambda instruction: told.append((now(), instruction.part))
        operator.reaching = lambda on: told.append((now(), "in" if on else "out"))
        await operator.confirm(lease(), Instruction(ManualTask.PLACE, "busbar 1", "place"), Second(60.0))
        assert told == [(0.0, "in"), (now(), "busbar 1"), (now(), "out")]

    run(main)


def test_hands_are_out_again_when_nobody_waits_any_more_and_have_done_nothing() -> None:
    async def main() -> None:
        operator, told = SimOperator(1), list[str]()
        operator.hands = lambda instruction: told.append(instruction.part)
        operator.reaching = lambda on: told.append("in" if on else "out")
        asked = Instruction(ManualTask.PLACE, "busbar 1", "place")
        waiting = asyncio.get_running_loop().create_task(operator.confirm(lease(), asked, Second(60.0)))
        await asyncio.sleep(1.0)
        waiting.cancel()
        await asyncio.sleep(10.0)
        assert told == ["in", "out"]

    run(main)


def test_somebody_who_refuses_or_is_not_there_does_nothing() -> None:
    async def main() -> None:
        operator, told = SimOperator(1), list[str]()
        operator.hands = lambda instruction: told.append(instruction.part)
        asked = Instruction(ManualTask.PLACE, "busbar 1", "place")
        operator.refusal = "it does not fit"
        with pytest.raises(DeviceRefused, match="fit"):
            await operator.confirm(lease(), asked, Second(60.0))
        await operator.show(lease(), TIGHTEN)
        operator.absent, operator.refusal = True, None
        await operator.show(lease(), TIGHTEN)
        with pytest.raises(DeviceTimeout):
            await operator.scan(lease(), asked, Second(10.0))
        await asyncio.sleep(10.0)
        assert told == []

    run(main)


def test_what_is_shown_is_done_later_and_only_the_newest() -> None:
    async def main() -> None:
        operator, told, right = SimOperator(1), list[tuple[float, str]](), lease()
        operator.hands = lambda instruction: told.append((now(), instruction.part))
        await operator.show(right, TIGHTEN)
        assert now() == 0.0
        await operator.show(right, Instruction(ManualTask.TIGHTEN, "bolt m1.2", "tighten"))
        await asyncio.sleep(10.0)
        assert operator.seen == ["tighten", "tighten"]
        ((acted_s, part),) = told
        assert part == "bolt m1.2"
        assert 1.5 <= acted_s <= 3.0
        right.revoked = True
        with pytest.raises(LeaseRevoked):
            await operator.show(right, TIGHTEN)

    run(main)


def test_the_hand_scanner_reads_what_is_in_sight_once_the_task_is_done() -> None:
    async def main() -> None:
        operator, seen = SimOperator(1), list[str]()
        operator.hands = lambda instruction: seen.append("295B;AS52")
        operator.in_sight = lambda: seen[-1] if seen else None
        right = lease()
        assert await operator.scan(right, Instruction(ManualTask.APPLY, "", "scan"), Second(60.0)) == "295B;AS52"
        assert 2.0 <= now() <= 4.0
        assert right.fresh
        operator.in_sight = lambda: None
        begun_s = now()
        with pytest.raises(DeviceTimeout, match="nobody scanned anything for 'scan' within 60 s"):
            await operator.scan(right, Instruction(ManualTask.APPLY, "", "scan"), Second(60.0))
        assert now() - begun_s == pytest.approx(60.0)

    run(main)


def test_a_badge_carries_a_qualification_or_not() -> None:
    async def main() -> None:
        operator = SimOperator(1)
        person = await operator.qualified(lease(), "live work", Second(60.0))
        assert person.startswith("badge ")
        assert await operator.qualified(lease(), "live work", Second(60.0)) == person
        operator.unqualified = True
        with pytest.raises(DeviceRefused, match="not qualified for live work"):
            await operator.qualified(lease(), "live work", Second(60.0))
        operator.absent = True
        with pytest.raises(DeviceTimeout, match="badge"):
            await operator.qualified(lease(), "live work", Second(60.0))

    run(main)


def mes() -> tuple[Plant, SimMes]:
    plant = Plant(facts_of("AS52"), PlantCondition(), 7)
    return plant, SimMes(plant, "295M24112R", SERIAL, 7)


def test_the_mes_knows_the_modules_of_its_pack() -> None:
    async def main() -> None:
        plant, system = mes()
        modules = await system.modules(SERIAL, Second(5.0))
        assert 0.050 <= now() <= 0.200
        assert [module.slot for module in modules] == [1, 2, 3, 4]
        assert [module.serial for module in modules] == ["M24-7-1", "M24-7-2", "M24-7-3", "M24-7-4"]
        assert {module.part_number for module in modules} == {"295M24112R"}
        expected = plant.incoming_modules()
        for module, (_, age_s, volts) in zip(modules, expected, strict=True):
            assert module.age == age_s
            assert module.cell_voltage_v == tuple(volts)
            assert len(module.cell_voltage_v) == 24
        assert await system.modules("AS52000000002", Second(5.0)) == ()
        system.empty = True
        assert await system.modules(SERIAL, Second(5.0)) == ()

    run(main)


def test_a_silent_or_slow_mes_is_a_timeout() -> None:
    async def main() -> None:
        _, system = mes()
        with pytest.raises(DeviceTimeout):
            await system.modules(SERIAL, Second(0.01))
        assert now() == 0.01
        system.silent = True
        with pytest.raises(DeviceTimeout, match="network"):
            await system.modules(SERIAL, Second(2.0))
        assert now() == pytest.approx(2.01)

    run(main)


def test_the_mes_knows_what_is_in_stock() -> None:
    async def main() -> None:
        plant, without = mes()
        record = ModuleData("M24-7-5", "295M24112R", "L7", Second(1e6), (Volt(3.6),), Volt(3.6), Ohm(8e-3))
        stock = Stock({"M24-7-5": record, "X": record}, ("M24-7-5",), {"M24-7-1": SERIAL})
        system = SimMes(plant, "295M24112R", SERIAL, 7, stock)
        within = Second(5.0)
        assert await system.buffer("295B08142R", within) == (record,)
        assert await system.module("X", within) is record
        assert await system.module("M24-7-9", within) is None
        assert await system.pack_of("M24-7-1", within) == SERIAL
        assert await system.pack_of("M24-7-5", within) is None
        system.empty = True
        assert await system.buffer("295B08142R", within) == ()
        assert await system.module("X", within) is None
        system.silent = True
        with pytest.raises(DeviceTimeout, match="network"):
            await system.buffer("295B08142R", within)
        assert await without.buffer("295B08142R", within) == ()

    run(main)
