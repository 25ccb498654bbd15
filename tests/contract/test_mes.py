"""The port of the manufacturing execution system, as the stacking station uses it."""

from __future__ import annotations

import pytest

from bmsctl.domain.units import Second
from bmsctl.errors import DeviceTimeout
from tests.contract.stacking import Stacking

pytestmark = [pytest.mark.stacking, pytest.mark.worlds("sim")]

WITHIN = Second(2.0)
UNKNOWN = "NOBODY-KNOWS-IT"


async def test_the_buffer_has_whole_records_of_modules_for_this_pack(station: Stacking) -> None:
    waiting = await station.mes.buffer(station.recipe.pack.part_number, WITHIN)
    assert len(waiting) >= station.recipe.pack.modules
    assert len({module.serial for module in waiting}) == len(waiting)
    ages = [module.age for module in waiting]
    assert ages == sorted(ages, reverse=True)
    cells = station.recipe.pack.series // station.recipe.pack.modules
    for module in waiting:
        assert module.part_number == station.step("modules_in").text("part_number")
        assert len(module.cell_voltage_v) == cells
        assert module.lot
        assert sum(module.cell_voltage_v) == pytest.approx(module.lot_ocv * cells, rel=0.01)
        assert 0.0 < module.lot_acir < 0.1


async def test_a_module_is_on_record_as_it_is_in_the_buffer(station: Stacking) -> None:
    (first, *_) = await station.mes.buffer(station.recipe.pack.part_number, WITHIN)
    assert await station.mes.module(first.serial, WITHIN) == first


async def test_what_is_not_on_record_is_nothing(station: Stacking) -> None:
    assert await station.mes.module(UNKNOWN, WITHIN) is None
    assert await station.mes.pack_of(UNKNOWN, WITHIN) is None
    assert list(await station.mes.modules(UNKNOWN, WITHIN)) == []
    assert await station.mes.released(UNKNOWN, "stacking", WITHIN) is not None


async def test_what_waits_is_in_no_pack(station: Stacking) -> None:
    (first, *_) = await station.mes.buffer(station.recipe.pack.part_number, WITHIN)
    assert await station.mes.pack_of(first.serial, WITHIN) is None


async def test_no_answer_in_time_is_told(station: Stacking) -> None:
    mes, within = station.mes, Second(0.01)
    for call in (
        mes.buffer(station.recipe.pack.part_number, within),
        mes.module(UNKNOWN, within),
        mes.pack_of(UNKNOWN, within),
        mes.modules(UNKNOWN, within),
        mes.released(UNKNOWN, "stacking", within),
    ):
        began_s = station.now()
        with pytest.raises(DeviceTimeout):
            await call
        assert station.now() - began_s < 0.1
