"""The simulated operator and the simulated manufacturing execution system."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.ports import Deed, Instruction
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, DeviceTimeout, LeaseRevoked
from firmware_stubs.people import SimMes, SimOperator
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
            await operator.confirm(right, Instruction(Deed.DOCK, "", "connect the pack"), Second(60.0))
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
            await operator.confirm(lease(), Instruction(Deed.DOCK, "", "dock"), Second(1.0))
        assert now() == 1.0
        operator.absent = True
        with pytest.raises(DeviceTimeout, match="dock"):
            await operator.confirm(lease(), Instruction(Deed.DOCK, "", "dock"), Second(10.0))
        operator.absent, operator.refusal = False, "the connector is bent"
        with pytest.raises(DeviceRefused, match="bent"):
            await operator.confirm(lease(), Instruction(Deed.DOCK, "", "dock"), Second(10.0))
        right = lease()
        right.revoked = True
        with pytest.raises(LeaseRevoked):
            await operator.confirm(right, Instruction(Deed.DOCK, "", "dock"), Second(10.0))

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
