"""What is still wrong with a pack after a rework, and which modules it then has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from bmsctl.domain.world import NOT_BUILT, AsBuilt
from firmware_stubs.as_built import remaining
from firmware_stubs.assembly import AssemblyCondition, lot_of
from firmware_stubs.bms import BmsCondition
from firmware_stubs.defects import PackCondition
from firmware_stubs.eol_wiring import EolWiring
from firmware_stubs.plant import PlantCondition
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wires import SimWires
from tests.support.simulate import RECIPE

SEED = 7
CELLS = 24
BAD = PackCondition(
    PlantCondition(
        joint_ohm={1: 52e-6, 5: 52e-6}, sense_open=frozenset({3}), cell_resistance={30: 1.5}, hvil_open=True
    ),
    BmsCondition(software_version="0001", imd_gain=2.0),
    AssemblyCondition(
        wrong_part=frozenset({1, 2}),
        cloned_label=frozenset({2}),
        turned=frozenset({2, 3}),
        bolt_torque={"m2.1": 15.0, "c1": 5.0},
        housing_leak=100.0,
    ),
)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 60.0)
    assert loop.errors == []


def after(*replaced: str, flashed: bool = False) -> PackCondition:
    return remaining(BAD, AsBuilt({}, frozenset(replaced), flashed))


def test_what_nobody_has_worked_on_stays() -> None:
    assert remaining(BAD, NOT_BUILT) == BAD
    assert after("tray", "cover") == BAD


def test_what_was_wrong_with_a_module_and_its_place_goes_with_it() -> None:
    left = after("module 2").assembly
    assert (left.wrong_part, left.cloned_label, left.turned) == (frozenset({1}), frozenset(), frozenset({3}))
    assert (left.bolt_torque, left.housing_leak) == (BAD.assembly.bolt_torque, 100.0)


def test_a_torn_bolt_goes_with_the_bolt() -> None:
    assert after("bolt m2.1").assembly.bolt_torque == {"c1": 5.0}


@pytest.mark.parametrize("part", ["busbar 1", "bolt b1.2"])
def test_a_bad_joint_goes_with_its_busbar_or_a_bolt_of_that(part: str) -> None:
    assert after(part).plant.joint_ohm == {5: 52e-6}


def test_an_open_sense_wire_goes_with_the_harness_only() -> None:
    assert after("harness").plant.sense_open == frozenset()
    assert after("module 1").plant.sense_open == frozenset({3})


def test_a_bms_that_was_written_has_the_software_and_its_other_faults() -> None:
    assert after(flashed=True).bms == BmsCondition(imd_gain=2.0)
    assert after("bms").bms == BmsCondition()


def wired(**parts: str) -> EolWiring:
    built = AsBuilt({slot.replace("_", " "): serial for slot, serial in parts.items()})
    return EolWiring(RECIPE, BAD, SEED, SimWires(), built)


def test_a_module_of_another_slot_and_a_spare_bring_their_cells() -> None:
    async def main() -> None:
        own = EolWiring(RECIPE, BAD, SEED, SimWires()).plant.unit
        plant = wired(module_1="M24-7-2", module_2="M24-7-6", module_3="M24-7-3", module_4="unknown").plant
        for name in ("rest_spread_v", "self_discharge_v_per_h", "incoming_error_v", "group_ohm", "capacity_ah"):
            was, now = getattr(own, name).reshape(4, CELLS), getattr(plant.unit, name).reshape(4, CELLS)
            np.testing.assert_array_equal(now[0], was[1])
            np.testing.assert_array_equal(now[2:], was[2:])
            assert not np.isin(now[1], was).any()
        assert plant.unit.group_ohm.max() == plant.unit.group_ohm[30 - 1 - CELLS], "the bad cell is in slot 1 now"

    run(main)


def test_the_pack_that_is_tested_has_the_cells_that_were_stacked() -> None:
    """Rest voltages of a spare, as the lot has it and as the plant of end of line has it."""

    async def main() -> None:
        plant = wired().plant
        (spare,) = [one for one in lot_of(plant, AssemblyCondition(), "295M24112R", SEED).spares if "-5" in one.serial]
        rebuilt = wired(module_3=spare.serial).plant
        seen_v = rebuilt.cell_voltage_v(asyncio.get_running_loop().time())[2 * CELLS : 3 * CELLS]
        np.testing.assert_allclose(seen_v, spare.cell_v, rtol=1e-6)

    run(main)
