"""Whatever the order of building, power loss, abort, trouble and rework: the pack's genealogy can be, and is true.

The steps are the station's own, the far end is scripted and outlives every program: it knows which bolt each
tightening was of, and lets none be tightened twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jsonschema
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bmsctl.domain.derivation import differences
from bmsctl.domain.events import (
    Measured,
    PartInstalled,
    PartRemoved,
    StepFinished,
    StepKept,
    StepStarted,
    Tightened,
)
from bmsctl.domain.pack_state import PackState
from bmsctl.domain.parts import (
    BMS,
    COVER,
    HARNESS,
    TRAY,
    bolt_of,
    bolt_slot,
    held_by,
    joined_by,
    kind_of,
    module_slot,
    number_of,
    sort_of,
)
from bmsctl.domain.recipe import STACKING
from bmsctl.domain.record import fold
from bmsctl.domain.record_schema import SCHEMA
from bmsctl.domain.verdict import Verdict
from tests.support.small_stack import BOLTS, BUFFER, MODULES, SLOTS, SMALL, Moment, SmallPack
from tests.support.stacking_far_end import FOREIGN, NOMINAL_NM
from tests.support.stacking_parts import MODULE, module

MOMENTS = st.builds(Moment, st.integers(1, 350))
"""A whole pack takes fewer."""
AT_BOLTS = st.builds(Moment, st.integers(1, 50) | st.integers(1, 8), st.sampled_from(["nutrunner", "operator.show"]))
"""A bolt takes six calls of the tool and one of the screen."""
MODULE_SLOTS = st.sampled_from([module_slot(number) for number in range(1, MODULES + 1)])
BOLT_SLOTS = st.sampled_from([bolt_slot(bolt) for bolt in BOLTS])
WRONG_LABELS = (f"{MODULE};M2", f"{MODULE};M99", "295M00000R;M1")
"""Of another module of the buffer, of an unknown one, and of a part for another pack."""
WRONG_TORQUES_NM = ((20.0,), (20.0, 20.0), (math.nan,))
"""Too low for M8, too high for M6, the second time, too; and none."""
OUTAGES = (
    (),
    ("trigger",),
    ("trigger", "finish"),
    ("trigger", "finish", "forget"),
    ("trigger", "exchange"),
    ("forget",),
)
"""What happens while nobody listens: to the bolt that the person has on the screen, and to the controller."""
WHOLE = {TRAY, HARNESS, BMS, COVER, *SLOTS, *(bolt_slot(bolt) for bolt in BOLTS)}
REDO_AFTER = {step.run: frozenset(step.names("redo_after")) for step in SMALL.steps(STACKING)}
LOOSENED_WITHOUT_HARNESS = ("module", "busbar", "module bolt", "busbar bolt")
pytestmark = pytest.mark.timeout(600)
"""To find the shortest sequence that fails takes minutes."""
RECORD = jsonschema.Draft202012Validator(SCHEMA)


class Sequences(RuleBasedStateMachine):
    """One pack at one far end, and whatever can happen to both."""

    def __init__(self) -> None:
        super().__init__()
        self.pack = SmallPack()
        self.plant = self.pack.plant

    def unfinished(self) -> bool:
        return self.pack.verdict is None

    def not_begun(self) -> bool:
        return not self.pack.begun

    def closed(self) -> bool:
        return self.pack.verdict is not None

    def work(self, power_lost: Moment | None = None, keeps: bool = True, aborted: Moment | None = None) -> None:
        """Let a program build; what it leaves of the attempt follows from its measurements."""
        self.pack.work(power_lost, keeps, aborted)
        assert differences(self.pack.log) == []

    def teardown(self) -> None:
        """The last attempt's record is one; only its, because this takes longer than all else."""
        RECORD.validate(fold(self.pack.log, 64 * "0"))

    @precondition(unfinished)
    @rule(moment=MOMENTS, keeps=st.booleans())
    def lose_power(self, moment: Moment, keeps: bool) -> None:
        self.work(power_lost=moment, keeps=keeps)

    @precondition(unfinished)
    @rule(moment=AT_BOLTS, meanwhile=st.sampled_from(OUTAGES))
    def lose_power_at_a_bolt(self, moment: Moment, meanwhile: Sequence[str]) -> None:
        self.work(power_lost=moment, keeps=False)
        for what in meanwhile:
            getattr(self.plant, what)()

    @precondition(unfinished)
    @rule(moment=MOMENTS | AT_BOLTS)
    def abort(self, moment: Moment) -> None:
        self.work(aborted=moment)

    @precondition(unfinished)
    @rule()
    def finish(self) -> None:
        self.work()
        assert self.closed()

    @precondition(closed)
    @rule(data=st.data())
    def rework(self, data: st.DataObject) -> None:
        inside = [slot for slot in PackState.of(self.pack.log).parts if slot != TRAY]
        least = 1 if self.pack.verdict is Verdict.PASS else 0
        slots = st.lists(st.sampled_from(inside), min_size=least, max_size=2, unique=True) if inside else st.just([])
        self.plant.labels.clear()
        self.plant.packs.clear()
        self.plant.torque_nm.clear()
        self.pack.again(data.draw(slots))

    @precondition(not_begun)
    @rule(slot=MODULE_SLOTS, label=st.sampled_from(WRONG_LABELS), used=st.none() | st.integers(1, BUFFER))
    def mix_up_modules(self, slot: str, label: str, used: int | None) -> None:
        if used is None:
            self.plant.labels[slot] = label
        else:
            self.plant.packs[module(used).serial] = FOREIGN

    @precondition(unfinished)
    @rule(slot=BOLT_SLOTS, torques_nm=st.sampled_from(WRONG_TORQUES_NM))
    def tighten_wrongly(self, slot: str, torques_nm: Sequence[float]) -> None:
        self.plant.torque_nm[slot] = list(torques_nm)

    @invariant()
    def each_slot_has_at_most_one_part_and_each_part_one_slot(self) -> None:
        inside: dict[str, str | None] = {}
        for event in self.pack.log:
            if isinstance(event, PartInstalled):
                assert event.slot not in inside
                assert event.serial is None or kind_of(event.slot) != "module" or event.serial not in inside.values()
                inside[event.slot] = event.serial
            elif isinstance(event, PartRemoved):
                assert inside.pop(event.slot) == event.serial
                assert event.reason

    @invariant()
    def a_module_that_was_taken_out_does_not_come_back(self) -> None:
        gone: set[str | None] = set()
        for log in (*self.pack.before, self.pack.log):
            for event in log:
                if isinstance(event, PartRemoved) and kind_of(event.slot) == "module":
                    gone.add(event.serial)
                assert not (isinstance(event, PartInstalled) and event.serial in gone)

    @invariant()
    def nothing_is_in_without_what_it_rests_on(self) -> None:
        parts = PackState.of(self.pack.log).parts
        for slot in parts:
            if kind_of(slot) == "bolt":
                assert held_by(bolt_of(slot)) in parts
            elif kind_of(slot) == "busbar":
                assert all(module_slot(number) in parts for number in joined_by(number_of(slot), MODULES))

    @invariant()
    def every_tightening_is_of_the_bolt_that_was_in_and_its_only_one(self) -> None:
        tightened: dict[str, int] = {}
        for event in self.pack.log:
            if isinstance(event, PartInstalled):
                tightened[event.slot] = 0
            elif isinstance(event, PartRemoved):
                del tightened[event.slot]
            elif isinstance(event, Tightened):
                tightened[bolt_slot(event.bolt)] += 1
                assert tightened[bolt_slot(event.bolt)] == 1
                assert self.plant.turned[event.tightening_id] == bolt_slot(event.bolt)

    @invariant()
    def what_is_recorded_as_tight_is_tight(self) -> None:
        for slot, part in PackState.of(self.pack.log).parts.items():
            for event in part.tightenings:
                if event.torque == NOMINAL_NM[event.parameter_set]:
                    assert self.plant.made[slot] == 1
                    assert self.plant.newest_of[slot] == event.tightening_id

    @invariant()
    def nobody_works_under_the_cover_or_loosens_anything_with_the_harness_on(self) -> None:
        inside: set[str] = set()
        begun = False
        for event in self.pack.log:
            begun = begun or isinstance(event, StepStarted)
            if isinstance(event, PartRemoved):
                inside.remove(event.slot)
            if isinstance(event, PartRemoved) or (begun and isinstance(event, PartInstalled)):
                assert COVER not in inside or sort_of(event.slot) == "cover bolt"
                assert HARNESS not in inside or sort_of(event.slot) not in LOOSENED_WITHOUT_HARNESS
            if isinstance(event, Measured) and event.step == "joints":
                assert inside.isdisjoint({COVER, HARNESS})
            if isinstance(event, PartInstalled):
                inside.add(event.slot)

    @invariant()
    def a_step_that_passed_rests_on_nothing_that_came_off_since(self) -> None:
        valid: set[str] = set()
        for log in (*self.pack.before, self.pack.log):
            kept = {event.step for event in log if isinstance(event, StepKept)}
            assert kept <= valid
            valid = set()
            for event in log:
                if isinstance(event, StepKept) or (isinstance(event, StepFinished) and event.verdict is Verdict.PASS):
                    valid.add(event.step)
                elif isinstance(event, PartRemoved):
                    assert not [step for step in valid if sort_of(event.slot) in REDO_AFTER[step]]

    @invariant()
    def nothing_is_measured_twice_in_an_attempt(self) -> None:
        measured = [(event.step, event.name) for event in self.pack.log if isinstance(event, Measured)]
        assert len(set(measured)) == len(measured)

    @invariant()
    def a_pack_that_passed_is_whole_and_right(self) -> None:
        if self.pack.verdict is not Verdict.PASS:
            return
        state = PackState.of(self.pack.log)
        assert set(state.parts) == WHOLE
        assert state.pending is None
        for bolt in BOLTS:
            (tightened,) = state.tightenings(bolt)
            assert tightened.torque == NOMINAL_NM[tightened.parameter_set]


Sequences.TestCase.settings = settings(
    max_examples=120, stateful_step_count=15, deadline=None, derandomize=True, phases=(Phase.generate, Phase.shrink)
)
TestSequences = Sequences.TestCase
