"""A pack worked on again; whatever the order of scan, place, bolt, abort, crash and rework, its genealogy can be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bmsctl.domain.events import (
    ActionDone,
    ActionIntended,
    ActionUnknown,
    AttemptResumed,
    Event,
    IncomingMeasured,
    Measured,
    ModuleAccepted,
    PartInstalled,
    PartRemoved,
    StepFinished,
    StepKept,
    StepRepeated,
    StepStarted,
    Tightened,
)
from bmsctl.domain.limits import Limit
from bmsctl.domain.pack_state import PackState
from bmsctl.domain.parts import (
    bolt_of,
    bolt_slot,
    busbar_slot,
    held_by,
    joined_by,
    kind_of,
    measured_as,
    module_slot,
    number_of,
)
from bmsctl.domain.recipe import StepRecipe
from bmsctl.domain.rework import CAME_OFF, LOST, REPLACED, continued, exchanged, holding, older, passed_steps
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import Refused

MODULES = 2
HIGH = Limit(None, 1.0, None, False, "a test")
REDO = {
    "tray": ("tray",),
    "modules_in": ("module",),
    "place": ("tray", "module"),
    "bolts": ("tray", "module", "module bolt"),
    "busbars": ("tray", "module", "busbar", "busbar bolt"),
    "harness": ("tray", "module", "busbar", "harness"),
    "cover_bolts": ("tray", "module", "busbar", "harness", "cover", "cover bolt"),
}
LIMITS = {"modules_in": [f"age[{module_slot(number)}]" for number in (1, 2)]}


def recipe(run: str) -> StepRecipe:
    limits = dict.fromkeys(LIMITS.get(run, ["value"]), HIGH)
    return StepRecipe(run, True, Second(30.0), limits, {"redo_after": REDO[run]})


STEPS = [recipe(run) for run in REDO]


def installed(slot: str, serial: str | None = None) -> PartInstalled:
    return PartInstalled(slot, "295X", serial, None)


def accepted(slot: str, serial: str, age: float = 10.0) -> ModuleAccepted:
    return ModuleAccepted(slot, "295M", serial, "L1", age, (3.6, 3.6), 7.2, 0.001, 25.0)


def tightened(bolt: str, number: int = 1) -> Tightened:
    return Tightened(bolt, number, 3, True, 25.0, 90.0, "2026-01-01:00:00:00")


def measured(step: str, name: str, value: float | None = 0.5) -> Measured:
    verdict = Verdict.INVALID if value is None else Verdict.PASS
    return Measured(step, name, value, None, None, 1.0, None, False, None, verdict, "")


def passed(step: str, verdict: Verdict = Verdict.PASS) -> list[Event]:
    return [StepStarted(step, 0.0), StepFinished(step, verdict, "", 0.0, 1.0)]


BOLTED: list[Event] = [
    installed("tray", "T1"),
    accepted("module 1", "M1"),
    accepted("module 2", "M2"),
    installed("module 1", "M1"),
    IncomingMeasured("module 1", "age", "s", (10.0,)),
    installed("module 2", "M2"),
    *(event for bolt in ("m1.1", "m2.1") for event in (installed(bolt_slot(bolt)), tightened(bolt))),
    *(event for run in ("tray", "modules_in", "place", "bolts") for event in passed(run)),
]


def again(earlier: Sequence[Event], *replaced: str) -> list[Event]:
    return continued(earlier, replaced, STEPS, MODULES, "r-1")


def kept(events: Sequence[Event]) -> list[str]:
    return [event.step for event in events if isinstance(event, StepKept)]


def test_a_retest_keeps_the_pack_and_every_step_that_passed() -> None:
    events = again([*BOLTED, *passed("busbars", Verdict.FAIL)])
    assert kept(events) == ["tray", "modules_in", "place", "bolts"]
    assert not [event for event in events if isinstance(event, PartRemoved)]
    before, after = PackState.of(BOLTED), PackState.of(events)
    assert (list(after.parts.items()), after.accepted) == (list(before.parts.items()), before.accepted)


def test_what_rests_on_what_came_off_is_run_again_and_nothing_else() -> None:
    events = again(BOLTED, "module 2")
    gone = [event for event in events if isinstance(event, PartRemoved)]
    assert gone == [
        PartRemoved("bolt m2.1", None, "came off with module 2", "came_off"),
        PartRemoved("module 2", "M2", "replaced", "replaced"),
    ]
    assert kept(events) == ["tray"]
    assert list(PackState.of(events).parts) == ["tray", "module 1", "bolt m1.1"]
    assert list(PackState.of(events).accepted) == ["module 1"]


def test_what_goes_in_again_is_another_part_if_it_was_replaced_or_is_a_bolt_or_a_module() -> None:
    slots = ["busbar 1", "bolt m2.1", "module 2", "cover"]
    assert [slot for slot in slots if exchanged(slot, REPLACED)] == slots
    assert [slot for slot in slots if exchanged(slot, CAME_OFF)] == ["bolt m2.1", "module 2"]
    assert not exchanged("bolt m2.1", "")


def test_a_bolt_comes_off_alone() -> None:
    events = again(BOLTED, "bolt m1.1")
    assert kept(events) == ["tray", "modules_in", "place"]
    assert list(PackState.of(events).parts) == ["tray", "module 1", "module 2", "bolt m2.1"]


def test_the_tray_bears_the_serial_and_stays() -> None:
    with pytest.raises(Refused, match="cannot be replaced: scrap the pack"):
        again(BOLTED, "tray")


def test_a_step_that_was_kept_is_named_by_the_record_in_which_it_was_run() -> None:
    second = [*again(BOLTED, "bolt m1.1"), installed("bolt m1.1"), tightened("m1.1", 9), *passed("bolts")]
    third = continued(second, (), STEPS, MODULES, "r-2")
    origins = {event.step: event.record_id for event in third if isinstance(event, StepKept)}
    assert origins == {"tray": "r-1", "modules_in": "r-1", "place": "r-1", "bolts": "r-2"}


def test_only_what_is_in_the_pack_can_be_replaced() -> None:
    with pytest.raises(Refused, match=r"busbar 7 is not in the pack .* in it are tray, module 1"):
        again(BOLTED, "busbar 7")


def test_modules_that_wait_are_kept_only_with_the_step_that_accepted_them() -> None:
    waiting: list[Event] = [installed("tray", "T1"), accepted("module 1", "M1"), *passed("tray")]
    assert PackState.of(again([*waiting, *passed("modules_in", Verdict.INVALID)])).accepted == {}
    assert list(PackState.of(again([*waiting, *passed("modules_in")])).accepted) == ["module 1"]


INTENDED = ActionIntended("bolt m2.2 #1", "nutrunner", "tighten", "bolt m2.2", 41)


@pytest.mark.parametrize(
    ("replaced", "expected"),
    [((), [INTENDED]), (("module 2",), [INTENDED, ActionUnknown("bolt m2.2 #1", LOST)]), (("module 1",), [INTENDED])],
)
def test_an_action_nobody_knows_the_end_of_stays_so_unless_its_part_came_off(
    replaced: tuple[str, ...], expected: list[Event]
) -> None:
    events = again([*BOLTED, INTENDED], *replaced)
    assert [event for event in events if isinstance(event, ActionIntended | ActionUnknown)] == expected
    done = again([*BOLTED, INTENDED, ActionDone(INTENDED.action_id, "25 Nm")], *replaced)
    assert not [event for event in done if isinstance(event, ActionIntended | ActionUnknown)]


def test_what_was_measured_holds_while_its_part_stays_in() -> None:
    first = [
        measured("bolts", "torque[m1.1]"),
        measured("bolts", "torque[m2.1]"),
        measured("place", "voltage[module 2]"),
    ]
    second = [PartRemoved("bolt m2.1", None, "replaced"), measured("bolts", "torque[m1.1]", None)]
    assert [each.name for each in holding([first, second])] == ["torque[m1.1]", "voltage[module 2]"]
    assert [each.name for each in holding([first, [PartRemoved("module 2", "M2", "replaced")]])] == [
        "torque[m1.1]",
        "torque[m2.1]",
    ]
    assert holding([first, [StepRepeated("bolts", "restarted")]]) == first[2:]


def test_an_action_at_no_part_stays_whatever_came_off() -> None:
    label = ActionIntended("pack label", "label_printer", "print")
    assert PackState.of(again([*BOLTED, label], "module 2")).pending == label


def test_a_part_is_measured_by_its_bolts_name_or_its_slot() -> None:
    assert (measured_as("bolt m2.1"), measured_as("module 2"), measured_as("cover")) == ("m2.1", "module 2", "cover")
    with pytest.raises(ValueError, match="'module 2' is no bolt's slot"):
        bolt_of("module 2")


def test_data_of_modules_grow_older_and_never_younger() -> None:
    event = IncomingMeasured("module 1", "age", "s", (10.0, None))
    assert older(event, 5.0) == IncomingMeasured("module 1", "age", "s", (15.0, None))
    assert older(event, -5.0) == event
    assert older(accepted("module 1", "M1"), 5.0) == accepted("module 1", "M1", 15.0)
    volts = IncomingMeasured("module 1", "cell_voltage", "V", (3.6,))
    assert older(volts, 5.0) is volts


class Genealogy(RuleBasedStateMachine):
    """A pack built by rules, of which every attempt's log must tell a pack that can be."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Event] = []
        self.attempt = 1
        self.made = 0
        self.open = True
        self.last: list[Event] = []
        self.replaced: tuple[str, ...] = ()

    @property
    def pack(self) -> PackState:
        return PackState.of(self.log)

    def serial(self) -> str:
        self.made += 1
        return f"S{self.made}"

    @initialize()
    def load(self) -> None:
        self.log = [installed("tray", "T1"), *passed("tray")]

    @precondition(lambda self: self.open)
    @rule(number=st.integers(1, MODULES))
    def scan(self, number: int) -> None:
        if module_slot(number) not in self.pack.accepted:
            self.log.append(accepted(module_slot(number), self.serial()))

    @precondition(lambda self: self.open)
    @rule(number=st.integers(1, MODULES))
    def place_module(self, number: int) -> None:
        slot, pack = module_slot(number), self.pack
        if slot in pack.accepted and slot not in pack.parts:
            self.log.append(installed(slot, pack.accepted[slot].serial))

    @precondition(lambda self: self.open)
    @rule(number=st.integers(1, MODULES + 1))
    def place_busbar(self, number: int) -> None:
        slot, parts = busbar_slot(number), self.pack.parts
        joined = [module_slot(each) for each in joined_by(number, MODULES)]
        if slot not in parts and all(each in parts for each in joined):
            self.log.append(installed(slot))

    @precondition(lambda self: self.open)
    @rule(slot=st.sampled_from(["harness", "cover"]))
    def close(self, slot: str) -> None:
        parts = self.pack.parts
        if slot not in parts and all(module_slot(number) in parts for number in range(1, MODULES + 1)):
            self.log.append(installed(slot))

    @precondition(lambda self: self.open)
    @rule(bolt=st.sampled_from(["m1.1", "m1.2", "m2.1", "b1.1", "b2.1", "b3.1", "c1"]), ends=st.booleans())
    def bolt(self, bolt: str, ends: bool) -> None:
        pack, slot = self.pack, bolt_slot(bolt)
        if held_by(bolt) in pack.parts and slot not in pack.parts and pack.pending is None:
            action = ActionIntended(f"{slot} #1", "nutrunner", "tighten", slot, self.made)
            self.made += 1
            done = [tightened(bolt, self.made), ActionDone(action.action_id, "25 Nm")] if ends else []
            self.log += [action, installed(slot), *done]

    @precondition(lambda self: self.open and self.pack.pending is not None)
    @rule()
    def crash_and_resume(self) -> None:
        action = self.pack.pending
        assert action is not None
        self.made += 1
        done = tightened(bolt_of(action.slot), self.made), ActionDone(action.action_id, "25 Nm")
        self.log += [AttemptResumed("now"), *done]

    @precondition(lambda self: self.open)
    @rule(run=st.sampled_from(sorted(REDO)), verdict=st.sampled_from([Verdict.PASS, Verdict.FAIL]))
    def finish(self, run: str, verdict: Verdict) -> None:
        if run not in passed_steps(self.log, ""):
            self.log += passed(run, verdict)

    @rule()
    def abort(self) -> None:
        self.open = False

    @precondition(lambda self: not self.open)
    @rule(data=st.data())
    def rework(self, data: st.DataObject) -> None:
        inside = [slot for slot in self.pack.parts if slot != "tray"]
        slots = st.lists(st.sampled_from(inside), max_size=2, unique=True) if inside else st.just([])
        self.last, self.replaced = self.log, tuple(data.draw(slots))
        self.log = continued(self.last, self.replaced, STEPS, MODULES, f"r-{self.attempt}")
        self.attempt, self.open = self.attempt + 1, True

    @invariant()
    def each_slot_has_at_most_one_part(self) -> None:
        inside: set[str] = set()
        for event in self.log:
            if isinstance(event, PartInstalled):
                assert event.slot not in inside
                inside.add(event.slot)
            elif isinstance(event, PartRemoved):
                assert event.slot in inside
                inside.remove(event.slot)

    @invariant()
    def no_serial_is_in_two_slots(self) -> None:
        serials = [part.installed.serial for part in self.pack.parts.values()]
        known = [serial for serial in serials if serial is not None]
        assert len(set(known)) == len(known)

    @invariant()
    def nothing_is_in_without_what_it_rests_on(self) -> None:
        parts = self.pack.parts
        for slot in parts:
            if kind_of(slot) == "bolt":
                assert held_by(slot.removeprefix("bolt ")) in parts
            elif kind_of(slot) == "busbar":
                assert all(module_slot(each) in parts for each in joined_by(number_of(slot), MODULES))

    @invariant()
    def every_tightening_is_of_the_bolt_that_is_in(self) -> None:
        for slot, part in self.pack.parts.items():
            assert len(part.tightenings) <= 1
            assert all(bolt_slot(event.bolt) == slot for event in part.tightenings)

    @invariant()
    def a_step_is_kept_only_where_nothing_it_depends_on_came_off(self) -> None:
        off = {kind_of(event.slot) for event in self.log if isinstance(event, PartRemoved)}
        passed_before = passed_steps(self.last, "")
        for run in kept(self.log):
            assert run in passed_before
            assert off.isdisjoint(REDO[run])
        if self.last:
            stayed = {run for run in passed_before if off.isdisjoint(REDO[run])}
            assert set(kept(self.log)) == stayed


Genealogy.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGenealogy = Genealogy.TestCase
