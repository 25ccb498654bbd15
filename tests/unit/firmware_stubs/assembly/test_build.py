"""The pack under construction: what a tool reaches, what is in, and what the ledger says of mistakes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from firmware_stubs.assembly import AssemblyCondition, AssemblyRule, Drawing, PackUnderConstruction, lot_of
from firmware_stubs.plant import Plant, PlantCondition
from firmware_stubs.population import facts_of
from firmware_stubs.sim.loop import new_loop
from tests.support.simulate import RECIPE

DRAWING = Drawing.of(RECIPE)
GOOD = AssemblyCondition()
ALL_BUSBARS = tuple(f"busbar {number}" for number in range(1, 6))
ALL_MODULES = tuple(f"module {number}" for number in range(1, 5))


def run(test: Callable[[], None]) -> None:
    async def main() -> None:
        test()

    loop = new_loop()
    loop.run_until(main(), 10.0)
    assert loop.errors == []


def pack(condition: AssemblyCondition = GOOD, built: tuple[str, ...] = (), seed: int = 7) -> PackUnderConstruction:
    plant = Plant(facts_of("AS52"), PlantCondition(), seed)
    lot = lot_of(plant, condition, DRAWING.module_part_number, seed)
    build = PackUnderConstruction(DRAWING, lot, condition, seed)
    build.begin(built)
    return build


def rules(build: PackUnderConstruction) -> list[AssemblyRule]:
    return [damage.rule for damage in build.ledger]


def test_the_drawing_is_the_recipes() -> None:
    assert len(DRAWING.joint_nm) == 32 + 10 + 50
    assert (DRAWING.joint_nm["m1.1"], DRAWING.joint_nm["b5.2"], DRAWING.joint_nm["c50"]) == (25.0, 9.0, 10.0)
    assert DRAWING.set_nm == {3: 25.0, 5: 9.0, 7: 10.0}
    assert DRAWING.joints[0] == "j1"
    assert len(DRAWING.joints) == 10
    assert len(DRAWING.cover_bolts) == 50
    assert (DRAWING.hvil_channel, DRAWING.connectors) == (2, ("hv", "signal", "service_disconnect"))
    assert DRAWING.coolant is not None
    assert (DRAWING.coolant.channel, DRAWING.coolant.pressure_pa) == (1, 2e5)


def test_good_bolts_reach_their_torque_within_the_process() -> None:
    def test() -> None:
        torques, angles = [], []
        for seed in range(30):
            build = pack(built=(*ALL_MODULES, *ALL_BUSBARS, "cover"), seed=seed)
            for bolt, joint_nm in DRAWING.joint_nm.items():
                parameter_set = next(number for number, nm in DRAWING.set_nm.items() if nm == joint_nm)
                torque_nm, angle_deg = build.tighten(bolt, parameter_set)
                torques.append(torque_nm / joint_nm)
                angles.append(angle_deg)
            assert build.ledger == []
        assert np.mean(torques) == pytest.approx(1.0, abs=0.001)
        assert np.std(torques) == pytest.approx(0.009, rel=0.05)
        assert np.mean(angles) == pytest.approx(90.0, abs=1.0)
        assert np.std(angles) == pytest.approx(10.0, rel=0.05)

    run(test)


def test_a_tightening_depends_on_the_bolt_and_on_how_often_it_was_made_not_on_the_order() -> None:
    def test() -> None:
        one, other = pack(built=ALL_MODULES), pack(built=ALL_MODULES)
        first = one.tighten("m1.1", 3), one.tighten("m2.1", 3)
        one.loosen("m1.1")
        assert other.tighten("m2.1", 3) == first[1]
        assert other.tighten("m1.1", 3) == first[0]
        other.loosen("m1.1")
        assert one.tighten("m1.1", 3) == other.tighten("m1.1", 3) != first[0]

    run(test)


def test_a_bad_joint_reaches_its_torque_however_often_it_is_made() -> None:
    def test() -> None:
        build = pack(AssemblyCondition(bolt_torque={"m1.1": 20.0}), ALL_MODULES)
        for _ in range(2):
            assert build.tighten("m1.1", 3)[0] == 20.0
            build.loosen("m1.1")
        assert build.tighten("m1.5", 3)[0] > 24.0
        assert build.ledger == []

    run(test)


@pytest.mark.parametrize(
    ("built", "act", "rule"),
    [
        (ALL_MODULES, lambda build: [build.tighten("m1.1", 3) for _ in range(2)], AssemblyRule.TIGHTENED_TWICE),
        (("module 1", "bolt m1.1"), lambda build: build.tighten("m1.1", 3), AssemblyRule.TIGHTENED_TWICE),
        (ALL_MODULES, lambda build: build.tighten("m1.1", 5), AssemblyRule.PARAMETER_SET),
        (ALL_BUSBARS, lambda build: build.tighten("b1.1", 3), AssemblyRule.PARAMETER_SET),
        (ALL_BUSBARS, lambda build: build.tighten("b1.1", 99), AssemblyRule.PARAMETER_SET),
        ((), lambda build: build.tighten("m1.1", 3), AssemblyRule.NOTHING_HELD),
        (ALL_MODULES, lambda build: build.tighten("c1", 7), AssemblyRule.NOTHING_HELD),
    ],
)
def test_a_tool_put_to_the_wrong_use_is_on_the_ledger(
    built: tuple[str, ...], act: Callable[[PackUnderConstruction], object], rule: AssemblyRule
) -> None:
    def test() -> None:
        build = pack(built=built)
        assert build.ledger == []
        act(build)
        assert rules(build) == [rule]

    run(test)


def test_a_busbar_on_a_module_the_wrong_way_round_is_on_the_ledger() -> None:
    def test() -> None:
        build = pack(AssemblyCondition(turned=frozenset({3})), ALL_MODULES)
        assert build.reversed == {3}
        build.lay(1)
        build.lay(4)
        assert build.ledger == []
        build.lay(2)
        build.lay(3)
        build.lay(5)
        assert rules(build) == [AssemblyRule.SHORT, AssemblyRule.SHORT]
        assert "module 3" in build.ledger[0].text

    run(test)


def test_a_module_that_is_not_in_lies_no_way_round() -> None:
    def test() -> None:
        assert pack(AssemblyCondition(turned=frozenset({3})), ("module 1",)).reversed == frozenset()

    run(test)


def test_a_busbar_is_loosened_only_with_harness_and_disconnect_out() -> None:
    def test() -> None:
        whole = (*ALL_MODULES, *ALL_BUSBARS, "bolt b1.1", "bolt b1.2", "harness", "bms")
        build = pack(built=whole)
        build.loosen("b1.1")
        build.remove("busbar 1")
        assert rules(build) == [AssemblyRule.LIVE_BUSBAR, AssemblyRule.LIVE_BUSBAR]
        build = pack(built=whole)
        build.remove("harness")
        build.loosen("b1.1")
        assert [damage.text for damage in build.ledger] == ["bolt b1.1 loosened with the service disconnect in"]
        build = pack(built=whole)
        build.mate("service_disconnect", on=False)
        build.remove("harness")
        build.remove("bolt b1.1")
        build.remove("bolt b1.2")
        build.remove("busbar 1")
        assert build.ledger == []
        assert not build.holds("busbar 1")

    run(test)


def test_hands_and_test_voltage_never_meet() -> None:
    def test() -> None:
        build, volts = pack(), 0.0
        build.test_voltage = lambda t_s: volts
        build.touch(True)
        build.touch(False)
        volts = 500.0
        build.look()
        assert build.ledger == []
        build.touch(True)
        assert rules(build) == [AssemblyRule.TOUCHED]
        assert "500 V" in build.ledger[0].text

    run(test)


def test_what_is_built_already_is_in() -> None:
    def test() -> None:
        build = pack(built=("tray", "module 1", "module 3", "busbar 2", "bolt m1.1", "cover"))
        assert build.tray
        assert [slot for slot in ALL_MODULES if build.holds(slot)] == ["module 1", "module 3"]
        assert build.modules[3] is build.lot.own[2]
        assert build.torque_nm == {"m1.1": 25.0}
        assert not build.bms_plugged
        assert not build.tight

    run(test)


def test_a_module_that_was_exchanged_before_is_found_by_its_serial() -> None:
    async def main() -> None:
        plant = Plant(facts_of("AS52"), PlantCondition(), 7)
        lot = lot_of(plant, AssemblyCondition(), DRAWING.module_part_number, 7)
        build = PackUnderConstruction(DRAWING, lot, AssemblyCondition(), 7)
        build.begin({"tray": None, "module 1": "M24-7-1", "module 2": "M24-7-6"})
        assert build.modules == {1: lot.own[0], 2: lot.spares[1]}

    new_loop().run_until(main(), 10.0)


def test_the_housing_is_closed_once_every_bolt_of_the_cover_holds() -> None:
    def test() -> None:
        build = pack(AssemblyCondition(bolt_torque={"c50": 7.0}), ("cover",))
        for bolt in DRAWING.cover_bolts:
            assert not build.tight
            build.tighten(bolt, 7)
        assert not build.tight
        build = pack(built=("cover", *(f"bolt {bolt}" for bolt in DRAWING.cover_bolts)))
        assert build.tight
        build.remove("cover")
        assert not build.tight

    run(test)


def test_the_bms_is_connected_by_harness_and_signal_connector() -> None:
    def test() -> None:
        build = pack()
        seen: list[bool] = []
        build.on_plug.append(lambda: seen.append(build.bms_plugged))
        build.connect(on=True)
        build.mate("signal", on=False)
        build.mate("signal", on=True)
        build.remove("harness")
        assert seen == [True, False, True, False]

    run(test)
