"""What the station's meters would find where they lie, in truth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from firmware_stubs.assembly import (
    AssemblyCondition,
    Drawing,
    Frame,
    HarnessedPlant,
    PackUnderConstruction,
    Probes,
    Volumes,
    lot_of,
)
from firmware_stubs.plant import Node, Plant, PlantCondition
from firmware_stubs.population import JOINT_OHM, draw_assembly, facts_of
from firmware_stubs.sim.loop import new_loop
from tests.support.simulate import RECIPE

DRAWING = Drawing.of(RECIPE)
FACTS = facts_of("AS52")
MODULES = tuple(f"module {number}" for number in range(1, 5))
BUSBARS = tuple(f"busbar {number}" for number in range(1, 6))
COVER = ("cover", *(f"bolt {bolt}" for bolt in DRAWING.cover_bolts))
AIR_C = 21.0
GOOD = AssemblyCondition()


class Rig:
    """One pack with the probes on it."""

    def __init__(
        self,
        built: tuple[str, ...] = (),
        condition: AssemblyCondition = GOOD,
        *,
        hvil_open: bool = False,
    ) -> None:
        self.plant = Plant(FACTS, PlantCondition(), 7)
        self.unit = draw_assembly(FACTS, 7, 3)
        lot = lot_of(self.plant, condition, DRAWING.module_part_number, 7)
        self.build = PackUnderConstruction(DRAWING, lot, condition, 7)
        self.build.begin(built)
        self.probes = Probes(self.build, self.unit.joint_ohm, AIR_C, hvil_open=hvil_open)
        self.volumes = Volumes(self.build, FACTS, self.unit, condition, AIR_C)
        self.seen = HarnessedPlant(self.plant, self.build, self.probes)


def run(test: Callable[[], None]) -> None:
    async def main() -> None:
        test()

    loop = new_loop()
    loop.run_until(main(), 10.0)
    assert loop.errors == []


def test_the_frame_touches_the_module_on_the_table() -> None:
    def test() -> None:
        rig = Rig()
        assert rig.probes.terminal() is None
        rig.probes.lay_frame(Frame.TABLE)
        assert rig.probes.terminal() is None
        module = rig.probes.table = rig.build.lot.own[1]
        assert rig.probes.terminal() == (module.ocv_v, module.resistance_ohm)
        assert rig.probes.temperature_c() == module.temperature_c
        rig.probes.lay_frame(Frame.OFF)
        assert rig.probes.terminal() is None
        assert rig.probes.temperature_c() == AIR_C

    run(test)


def test_the_voltage_of_a_module_in_its_slot_has_a_sign() -> None:
    def test() -> None:
        rig = Rig(("module 1", "module 2"), AssemblyCondition(turned=frozenset({2})))
        rig.probes.lay_frame(Frame.SLOT, 1)
        one, two = rig.build.lot.own[:2]
        assert one.ocv_v > 80.0
        assert rig.probes.terminal() == (one.ocv_v, one.resistance_ohm)
        rig.probes.lay_frame(Frame.SLOT, 2)
        assert rig.probes.terminal() == (-two.ocv_v, two.resistance_ohm)
        rig.probes.lay_frame(Frame.SLOT, 3)
        assert rig.probes.terminal() is None

    run(test)


def test_the_stack_has_a_voltage_once_its_modules_are_joined() -> None:
    def test() -> None:
        rig = Rig((*MODULES, "busbar 1", "busbar 2"))
        rig.probes.lay_frame(Frame.STACK)
        assert rig.probes.terminal() is None
        rig.build.lay(3)
        found = rig.probes.terminal()
        assert found is not None
        assert found[0] == pytest.approx(rig.plant.stack_v, rel=1e-12)
        modules_ohm = sum(module.resistance_ohm for module in rig.build.lot.own)
        assert found[1] == pytest.approx(modules_ohm + float(rig.unit.joint_ohm[:6].sum()), rel=1e-12)

    run(test)


def test_a_joint_has_its_resistance_where_a_busbar_lies() -> None:
    def test() -> None:
        rig = Rig(("busbar 2", "busbar 5"))
        assert rig.probes.bonding_ohm(1) == math.inf
        for joint, ohm in (
            ("j3", rig.unit.joint_ohm[2]),
            ("j4", rig.unit.joint_ohm[3]),
            ("j10", rig.unit.joint_ohm[9]),
        ):
            rig.probes.put_tips(joint)
            assert rig.probes.bonding_ohm(1) == ohm
        rig.probes.put_tips("j1")
        assert rig.probes.bonding_ohm(1) == math.inf
        with pytest.raises(ValueError, match="j11"):
            rig.probes.put_tips("j11")

    run(test)


def test_good_joints_spread_as_the_population_says() -> None:
    ohm = np.concatenate([draw_assembly(FACTS, seed, 3).joint_ohm for seed in range(200)])
    assert ohm.mean() == pytest.approx(JOINT_OHM, rel=0.01)
    assert ohm.std() == pytest.approx(0.08 * JOINT_OHM, rel=0.05)


def test_the_interlock_loop_is_closed_by_the_harness_and_every_connector() -> None:
    def test() -> None:
        rig = Rig()
        channel = DRAWING.hvil_channel
        assert channel is not None
        assert rig.probes.bonding_points == channel == 2
        for connector in DRAWING.connectors:
            rig.build.mate(connector, on=True)
            assert rig.probes.bonding_ohm(channel) == math.inf
        rig.build.connect(on=True)
        assert rig.probes.bonding_ohm(channel) == 1.0
        rig.build.mate("hv", on=False)
        assert rig.probes.bonding_ohm(channel) == math.inf
        broken = Rig(("harness", "bms"), hvil_open=True)
        assert broken.probes.bonding_ohm(channel) == math.inf

    run(test)


def test_the_insulation_under_the_frame_is_that_of_its_modules_in_parallel() -> None:
    def test() -> None:
        rig = Rig((*MODULES, *BUSBARS))
        for frame, expected_ohm in (
            (Frame.SLOT, rig.build.lot.own[1].insulation_ohm),
            (Frame.STACK, 1.0 / sum(1.0 / module.insulation_ohm for module in rig.build.lot.own)),
        ):
            rig.probes.lay_frame(frame, 2)
            rig.probes.insulated.tester_source(0.0, 500.0, 100e3)
            volts, amps = (
                rig.probes.insulated.voltage(5.0, Node.TESTER, Node.PE),
                rig.probes.insulated.tester_current_a(5.0),
            )
            assert volts / amps == pytest.approx(expected_ohm, rel=1e-6)
        rig.probes.lay_frame(Frame.OFF)
        assert rig.probes.insulated.voltage(5.001, Node.TESTER, Node.PE) > 499.9

    run(test)


def test_test_voltage_where_hands_are_is_on_the_ledger() -> None:
    def test() -> None:
        rig = Rig(("module 1",))
        rig.probes.lay_frame(Frame.SLOT, 1)
        rig.build.touch(True)
        rig.probes.insulated.tester_source(0.0, 10.0, 10e3)
        assert rig.build.ledger == []
        rig.probes.insulated.tester_source(0.0, 500.0, 100e3)
        assert [damage.rule for damage in rig.build.ledger] == ["touched"]

    run(test)


def test_nothing_is_coupled_until_somebody_does() -> None:
    def test() -> None:
        rig = Rig()
        assert rig.volumes.part(1) is rig.volumes.part(2) is None
        assert DRAWING.coolant is not None
        rig.volumes.couple(DRAWING.coolant)
        part = rig.volumes.part(1)
        assert part is not None
        assert (part.volume_m3, part.leak_cm3_per_min, part.nominal_pa) == pytest.approx(
            (4.5e-3, rig.unit.coolant_leak, 2e5)
        )
        assert rig.volumes.part(2) is None

    run(test)


@pytest.mark.parametrize(
    ("built", "condition", "leak"),
    [
        (COVER, AssemblyCondition(housing_leak=74.0), 74.0),
        (COVER, AssemblyCondition(), None),
        ((), AssemblyCondition(), 1e6),
        (COVER[:-1], AssemblyCondition(), 1e6),
    ],
)
def test_a_housing_holds_only_with_the_whole_cover(
    built: tuple[str, ...], condition: AssemblyCondition, leak: float | None
) -> None:
    def test() -> None:
        rig = Rig(built, condition)
        assert DRAWING.housing is not None
        rig.volumes.couple(DRAWING.housing)
        part = rig.volumes.part(2)
        assert part is not None
        assert part.volume_m3 == 0.05
        assert part.leak_cm3_per_min == (rig.unit.housing_leak if leak is None else leak)

    run(test)


def test_good_leaks_spread_as_the_population_says_and_are_never_none() -> None:
    units = [draw_assembly(FACTS, seed, 3) for seed in range(400)]
    housing, coolant = [unit.housing_leak for unit in units], [unit.coolant_leak for unit in units]
    assert np.mean(housing) == pytest.approx(6.0, rel=0.1)
    assert np.std(housing) == pytest.approx(3.0, rel=0.1)
    assert np.mean(coolant) == pytest.approx(0.5, rel=0.1)
    assert min(housing) >= 0.6
    assert min(coolant) >= 0.05


def test_the_bms_sees_cells_and_temperatures_through_the_harness() -> None:
    def test() -> None:
        rig = Rig(("module 1", "module 2", "module 4"))
        assert np.isnan(rig.seen.cell_voltage_v(0.0)).all()
        assert np.isnan(rig.seen.temperature_c(0.0)).all()
        rig.build.connect(on=True)
        cell_v = rig.seen.cell_voltage_v(0.0)
        assert np.isnan(cell_v[48:72]).all()
        assert cell_v[:48].tolist() == rig.plant.cell_voltage_v(0.0)[:48].tolist()
        assert rig.seen.temperature_c(0.0).tolist() == rig.plant.temperature_c(0.0).tolist()
        spare = rig.build.lot.spares[0]
        rig.build.put_in(3, spare)
        assert rig.seen.cell_voltage_v(0.0)[48:72].tolist() == spare.cell_v.tolist()

    run(test)


def test_the_bms_sees_the_interlock_loop_as_it_was_at_any_time() -> None:
    def test() -> None:
        rig = Rig(("harness", "bms"))
        assert rig.seen.hvil_closed(1.0)
        rig.build.mate("hv", on=False)
        rig.seen.look(2.0)
        rig.build.mate("hv", on=True)
        rig.seen.look(3.0)
        assert [rig.seen.hvil_closed(t_s) for t_s in (1.9, 2.0, 2.9, 3.0)] == [True, False, False, True]
        rig.plant.bridge_hvil(4.0, False)
        assert not rig.seen.hvil_closed(4.5)

    run(test)
