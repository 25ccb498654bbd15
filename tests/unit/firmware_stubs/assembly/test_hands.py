"""Every task that an instruction asks for changes what it should, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bmsctl.domain.ports import Instruction, ManualTask
from bmsctl.protocols.part_label import PartLabel, encode_label, parse_label
from firmware_stubs.assembly import (
    AssemblyCondition,
    Drawing,
    Hands,
    PackUnderConstruction,
    Probes,
    Volumes,
    lot_of,
)
from firmware_stubs.plant import Plant, PlantCondition
from firmware_stubs.population import draw_assembly, facts_of
from firmware_stubs.sim.loop import new_loop
from tests.support.simulate import RECIPE

DRAWING = Drawing.of(RECIPE)
FACTS = facts_of("AS52")
GOOD = AssemblyCondition()
TRAY = encode_label(PartLabel("295T52000R", "AS52000000007"))


class Person:
    """Somebody at a pack; `printed`: the newest label, `pulled`: bolts that the tool was pulled at."""

    def __init__(self, condition: AssemblyCondition = GOOD) -> None:
        plant = Plant(FACTS, PlantCondition(), 7)
        unit = draw_assembly(FACTS, 7, 3)
        lot = lot_of(plant, condition, DRAWING.module_part_number, 7)
        self.build = PackUnderConstruction(DRAWING, lot, condition, 7)
        self.probes = Probes(self.build, unit.joint_ohm, 22.0, hvil_open=False)
        self.volumes = Volumes(self.build, FACTS, unit, condition, 22.0)
        self.printed: str | None = None
        self.pulled: list[str] = []
        self.hands = Hands(
            self.build, self.probes, self.volumes, label=TRAY, printed=lambda: self.printed, pull=self.pulled.append
        )

    def do(self, task: ManualTask, part: str = "", text: str = "", detail: str = "") -> None:
        self.hands(Instruction(task, part, text, detail))

    @property
    def serial_in_sight(self) -> str:
        assert self.hands.label is not None
        return parse_label(self.hands.label).serial


def run(test: Callable[[], None]) -> None:
    async def main() -> None:
        test()

    loop = new_loop()
    loop.run_until(main(), 10.0)
    assert loop.errors == []


def test_a_module_goes_from_store_to_table_to_slot_with_its_label_in_sight() -> None:
    def test() -> None:
        person = Person()
        assert person.serial_in_sight == "AS52000000007"
        person.do(ManualTask.LOAD, "tray")
        person.do(ManualTask.FETCH, "module 2", detail="M24-7-2")
        assert person.build.tray
        assert person.serial_in_sight == "M24-7-2"
        assert person.probes.terminal() is None
        person.do(ManualTask.PROBE, "module 2")
        two = person.build.lot.own[1]
        assert person.probes.terminal() == (two.ocv_v, two.resistance_ohm)
        person.do(ManualTask.FETCH, "module 1", detail="M24-7-1")
        assert person.probes.terminal() is None
        person.do(ManualTask.PLACE, "module 2", detail="M24-7-2, poles to the rear")
        assert person.build.modules == {2: two}
        assert person.serial_in_sight == "M24-7-2"
        assert person.probes.terminal() == (two.ocv_v, two.resistance_ohm)
        person.do(ManualTask.PLACE, "module 1", detail="poles to the front")
        assert person.build.modules[1] is person.build.lot.own[0]

    run(test)


def test_a_serial_that_the_store_does_not_have_brings_nothing() -> None:
    def test() -> None:
        person = Person()
        person.do(ManualTask.FETCH, "module 1", detail="M24-7-99")
        assert person.hands.label is None
        person.do(ManualTask.PROBE, "module 1")
        assert person.probes.terminal() is None

    run(test)


def test_a_spare_that_was_fetched_for_a_slot_goes_into_it() -> None:
    def test() -> None:
        person = Person()
        person.do(ManualTask.FETCH, "module 3", detail="M24-7-5")
        person.do(ManualTask.PLACE, "module 3", detail="poles to the front")
        assert person.build.modules == {3: person.build.lot.spares[0]}

    run(test)


def test_a_wrong_label_is_what_is_in_sight() -> None:
    def test() -> None:
        person = Person(AssemblyCondition(cloned_label=frozenset({2}), wrong_part=frozenset({4})))
        person.do(ManualTask.FETCH, "module 2", detail="M24-7-2")
        assert person.serial_in_sight == "M24-7-1"
        person.do(ManualTask.FETCH, "module 4", detail="M24-7-4")
        assert person.hands.label is not None
        assert parse_label(person.hands.label).part_number == "295M08113R"

    run(test)


def test_bolts_busbars_and_cover() -> None:
    def test() -> None:
        person = Person()
        person.do(ManualTask.PLACE, "busbar 5")
        person.do(ManualTask.PLACE, "cover")
        assert (person.build.busbars, person.build.cover) == ({5}, True)
        person.do(ManualTask.TIGHTEN, "bolt b5.1")
        assert person.pulled == ["b5.1"]
        person.build.tighten("b5.1", 5)
        person.do(ManualTask.LOOSEN, "bolt b5.1")
        assert person.build.torque_nm == {}
        person.do(ManualTask.REMOVE, "busbar 5")
        person.do(ManualTask.REMOVE, "cover")
        assert (person.build.busbars, person.build.cover) == (set(), False)
        assert person.build.ledger == []

    run(test)


def test_tips_and_frame_go_where_they_are_asked_to() -> None:
    def test() -> None:
        person = Person()
        for number in range(1, 5):
            person.do(ManualTask.PLACE, f"module {number}", detail=f"M24-7-{number}, any way")
        for number in range(1, 6):
            person.do(ManualTask.PLACE, f"busbar {number}")
        person.do(ManualTask.PROBE, "j4", detail="busbar 2")
        assert 10e-6 < person.probes.bonding_ohm(1) < 40e-6
        person.do(ManualTask.PROBE)
        found = person.probes.terminal()
        assert found is not None
        assert found[0] == pytest.approx(342.3, abs=5.0)

    run(test)


def test_a_plug_and_each_hose_are_told_apart_by_the_part() -> None:
    def test() -> None:
        person = Person()
        assert DRAWING.coolant is not None
        assert DRAWING.housing is not None
        person.do(ManualTask.CONNECT, DRAWING.coolant.name)
        assert person.volumes.part(1) is not None
        assert person.volumes.part(2) is None
        assert not person.build.harness
        person.do(ManualTask.CONNECT, DRAWING.housing.name)
        assert person.volumes.part(2) is not None
        person.do(ManualTask.CONNECT, "harness")
        assert person.build.bms_plugged
        for connector in DRAWING.connectors:
            person.do(ManualTask.CLOSE, connector)
        assert person.probes.hvil_closed
        person.do(ManualTask.OPEN, "hv")
        assert not person.probes.hvil_closed
        person.do(ManualTask.REMOVE, "harness")
        assert not person.build.bms_plugged

    run(test)


def test_the_label_that_was_printed_last_is_put_on() -> None:
    def test() -> None:
        person = Person()
        person.printed = "295B08142R;AS52000000007"
        person.do(ManualTask.APPLY)
        assert person.hands.label == person.printed

    run(test)
