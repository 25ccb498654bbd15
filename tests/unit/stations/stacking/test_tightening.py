"""A bolt is tightened once: whenever the program ends, however long the outage, and whatever happens in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bmsctl.domain.events import (
    ActionDone,
    ActionIntended,
    ActionUnknown,
    Event,
    Measured,
    PartInstalled,
    PartRemoved,
    StepRepeated,
    Tightened,
)
from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import Instruction
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused, DeviceTimeout
from bmsctl.stations.stacking.bolts import bolts
from tests.support.fake_devices import Outcome
from tests.support.stacking_bench import StackingBench, passed, run_step
from tests.support.stacking_far_end import FOREIGN, FarEnd
from tests.support.stacking_parts import SERIAL

TWO = ("m1.1", "m1.5")
FIRST, SECOND = "bolt m1.1", "bolt m1.5"
NM = 25.0


def run(far: FarEnd, begun: Sequence[Event] = (), **how: object) -> Outcome:
    """The step with two bolts, whatever the recipe's limits name besides."""
    return run_step(bolts, "bolts", far=far, begun=begun, bolts=TWO, **how)  # type: ignore[arg-type]


def complete(outcome: Outcome) -> bool:
    """Whether both bolts are in, tightened once, measured once, and all of it passed."""
    events = outcome.bench.log.events
    names = [event.name for event in events if isinstance(event, Measured)]
    tight = [event.bolt for event in events if isinstance(event, Tightened)]
    every = sorted(f"{name}[{bolt}]" for bolt in TWO for name in ("torque", "angle"))
    passes = all(event.verdict is Verdict.PASS for event in events if isinstance(event, Measured))
    made = {slot: outcome.bench.far.made.get(slot) for slot in (FIRST, SECOND)}
    return (
        outcome.error is None
        and passes
        and sorted(names) == every
        and tight == list(TWO)
        and made == {FIRST: 1, SECOND: 1}
        and outcome.bench.far.enabled is None
    )


def test_intent_is_durable_before_the_tool_can_turn_and_the_result_before_the_next_bolt() -> None:
    outcome = run(FarEnd())
    assert complete(outcome)
    kinds = [type(event) for event in outcome.bench.log.events[1:8]]
    assert kinds == [ActionIntended, PartInstalled, Tightened, ActionDone, Measured, Measured, ActionIntended]
    assert outcome.bench.log.events[1] == ActionIntended(
        "bolt m1.1 #1", "nutrunner", "tighten with parameter set 3", FIRST, 4711
    )
    names = outcome.bench.names()
    assert names[:7] == [
        "nutrunner.newest_id",
        "operator.show.tighten",
        "nutrunner.enable",
        "nutrunner.result",
        "nutrunner.triggered",
        "nutrunner.turned",
        "nutrunner.disable",
    ]
    assert names[-1] == "nutrunner.disable"
    assert outcome.bench.of("nutrunner.enable") == [(SERIAL, 3), (SERIAL, 3)]
    assert outcome.bench.log.commits == 4


@pytest.mark.parametrize("lives", range(1, 13))
def test_killed_after_any_event_it_is_resumed_exactly_there(lives: int) -> None:
    far = FarEnd()
    first = run(far, lives=lives)
    assert first.error == "died"
    assert len(first.bench.log.events) == lives
    assert complete(run(far, first.bench.log.events))


@pytest.mark.parametrize("pulled", [False, True], ids=["idle", "tightened in the outage"])
@pytest.mark.parametrize("dies_at", range(1, 16))
def test_killed_at_any_call_of_a_device_it_is_resumed_exactly_there(dies_at: int, pulled: bool) -> None:
    far = FarEnd()
    first = run(far, dies_at=dies_at)
    assert first.error == "died"
    if pulled:
        far.pull()
        far.store(FOREIGN, 5, 9.0)
    assert complete(run(far, first.bench.log.events))


@pytest.mark.parametrize("lives", range(2, 18))
def test_killed_twice_in_a_row_with_a_redo_it_is_still_resumed(lives: int) -> None:
    far = FarEnd(torque_nm={FIRST: [20.0]})
    first = run(far, lives=lives)
    second = run(far, first.bench.log.events, lives=lives + 1)
    last = run(far, second.bench.log.events)
    assert passed_two(last)
    tight = [(event.bolt, event.torque) for event in last.bench.log.events if isinstance(event, Tightened)]
    assert tight == [("m1.1", 20.0), ("m1.1", NM), ("m1.5", NM)]
    assert far.made == {FIRST: 1, SECOND: 1}


def passed_two(outcome: Outcome) -> bool:
    """Whether all four measurements passed."""
    return outcome.error is None and list(outcome.verdicts.values()) == 4 * [Verdict.PASS]


def test_a_tool_left_enabled_is_disabled_before_its_memory_is_read() -> None:
    far = FarEnd()
    first = run(far, dies_at=4)
    assert far.enabled == (SERIAL, 3)
    second = run(far, first.bench.log.events)
    assert second.bench.names()[:4] == [
        "nutrunner.stop",
        "nutrunner.newest_id",
        "operator.show.tighten",
        "nutrunner.enable",
    ]
    intents = [event.action_id for event in second.bench.log.events if isinstance(event, ActionIntended)]
    assert intents == ["bolt m1.1 #1", "bolt m1.5 #1"]


def test_a_tightening_under_way_has_ended_before_its_memory_is_read() -> None:
    far = FarEnd()
    first = run(far, dies_at=5)
    assert (far.turning, far.made) == ((FIRST, SERIAL, 3), {})
    second = run(far, first.bench.log.events)
    assert complete(second)
    assert second.bench.names()[:4] == [
        "nutrunner.stop",
        "nutrunner.newest_id",
        "nutrunner.stored",
        "nutrunner.newest_id",
    ]


def test_a_controller_that_leaves_its_tool_enabled_tightens_no_bolt_twice() -> None:
    far = FarEnd(stays_enabled=True)

    def restless(bench: StackingBench) -> None:
        show = bench.operator.show

        async def pulled_and_shown(lease: Lease, instruction: Instruction) -> None:
            far.pull()
            await show(lease, instruction)

        bench.operator.show = pulled_and_shown  # type: ignore[method-assign]

    assert complete(run_step(bolts, "bolts", restless, far=far, bolts=TWO))


def test_a_tightening_of_the_outage_is_found_among_those_of_the_neighbour() -> None:
    far = FarEnd()
    first = run(far, dies_at=4)
    far.store(FOREIGN, 3, 24.0)
    far.pull()
    ours = far.newest_id
    far.store(FOREIGN, 3, 26.0)
    second = run(far, first.bench.log.events)
    assert complete(second)
    tightened = next(event for event in second.bench.log.events if isinstance(event, Tightened))
    assert tightened.tightening_id == ours
    assert second.bench.of("nutrunner.stored") == [(4712,), (4713,)]


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        ("forgotten", "the controller no longer has tightening 4712"),
        (
            "other controller",
            "the controller's newest tightening was 4711 and is 17: its memory was cleared, or",
        ),
        ("old journal", "it is not on record which tightening was the controller's newest before"),
    ],
)
def test_a_bolt_of_which_nobody_can_tell_is_thrown_away(loss: str, why: str) -> None:
    far = FarEnd()
    begun = run(far, dies_at=4).bench.log.events
    far.pull()
    far.results.clear()
    if loss == "other controller":
        far.newest_id = 17
    if loss == "old journal":
        begun = [replace(each, after_id=None) if isinstance(each, ActionIntended) else each for each in begun]
    second = run(far, begun)
    assert passed_two(second)
    assert far.thrown_away == [FIRST]
    events = second.bench.log.events
    unknown = next(event for event in events if isinstance(event, ActionUnknown))
    assert unknown.reason.startswith(why)
    assert [event.slot for event in events if isinstance(event, PartRemoved)] == [FIRST]


def test_a_bolt_that_is_in_without_any_record_of_its_tightening_is_thrown_away() -> None:
    far = FarEnd(made={FIRST: 1})
    outcome = run(far, [PartInstalled(FIRST, "P", None, None)])
    assert passed_two(outcome)
    assert far.thrown_away == [FIRST]


def test_a_bolt_tightened_in_an_earlier_attempt_is_judged_and_left_alone() -> None:
    far = FarEnd(made={FIRST: 1})
    earlier = [PartInstalled(FIRST, "P", None, None), Tightened("m1.1", 4000, 3, True, 24.0, 80.0, "then")]
    outcome = run(far, earlier)
    assert passed_two(outcome)
    assert outcome.value("torque[m1.1]") == 24.0
    assert far.thrown_away == []


def test_a_restarted_controller_repeats_the_step_and_no_bolt() -> None:
    far = FarEnd()
    first = run(far, dies_at=11)
    assert far.enabled is not None
    repeated = [*first.bench.log.events, StepRepeated("bolts", "restarted")]
    second = run(far, repeated)
    assert passed_two(second)
    assert far.made == {FIRST: 1, SECOND: 1}


def test_too_low_a_torque_is_done_again_with_a_new_bolt() -> None:
    far = FarEnd(torque_nm={FIRST: [22.0]})
    outcome = run(far)
    assert passed_two(outcome)
    assert far.thrown_away == [FIRST]
    removed = next(event for event in outcome.bench.log.events if isinstance(event, PartRemoved))
    assert removed.reason.startswith("torque[m1.1]: below low")
    assert outcome.bench.of("operator.confirm.loosen") == [(FIRST, removed.reason)]
    assert outcome.value("torque[m1.1]") == NM
    intents = [event.action_id for event in outcome.bench.log.events if isinstance(event, ActionIntended)]
    assert intents == ["bolt m1.1 #1", "bolt m1.1 #2", "bolt m1.5 #1"]


@pytest.mark.parametrize("torque_nm", [22.0, 28.0, 22.7], ids=["low", "high", "guard band"])
def test_after_the_allowed_redo_the_bolt_fails_and_no_other_is_tightened(torque_nm: float) -> None:
    far = FarEnd(torque_nm={FIRST: [torque_nm, torque_nm]})
    outcome = run(far)
    assert outcome.verdicts == {"torque[m1.1]": Verdict.FAIL, "angle[m1.1]": Verdict.PASS}
    assert far.thrown_away == [FIRST]
    assert SECOND not in far.made
    assert outcome.bench.names()[-1] == "nutrunner.disable"


def test_a_failed_bolt_is_not_turned_again_when_the_program_ends_before_the_step_does() -> None:
    far = FarEnd(torque_nm={FIRST: [22.0, 22.0]})
    first = run(far)
    second = run(far, first.bench.log.events)
    assert second.verdicts == first.verdicts
    assert set(second.bench.names()) == {"nutrunner.disable"}


def test_redos_are_counted_across_the_end_of_the_program() -> None:
    far = FarEnd(torque_nm={FIRST: [22.0, 22.0]})
    events = run(far, lives=9).bench.log.events
    second = run(far, events)
    assert second.verdicts["torque[m1.1]"] is Verdict.FAIL
    assert far.thrown_away == [FIRST]


def test_a_wrong_angle_is_done_again_too() -> None:
    outcome = run(FarEnd(angle_deg=20.0))
    assert outcome.verdicts == {"torque[m1.1]": Verdict.PASS, "angle[m1.1]": Verdict.FAIL}
    assert outcome.bench.far.thrown_away == [FIRST]


def test_no_number_is_no_redo() -> None:
    outcome = run(FarEnd(torque_nm={FIRST: [float("nan")]}))
    assert outcome.verdicts["torque[m1.1]"] is Verdict.INVALID
    assert outcome.bench.far.thrown_away == []


def test_a_controller_that_says_nok_to_what_is_within_limits_is_not_overruled() -> None:
    outcome = run(FarEnd(ok=False))
    assert outcome.verdicts == {}
    assert outcome.error is not None
    assert "the controller says NOK to tightening 4712" in outcome.error


def test_another_parameter_set_than_the_recipes_is_no_result() -> None:
    far = FarEnd()
    first = run(far, dies_at=4)
    far.enabled = SERIAL, 5
    far.pull()
    outcome = run(far, first.bench.log.events)
    assert outcome.error is not None
    assert "parameter set 5 instead of 3" in outcome.error
    assert "start again with --replace 'bolt m1.1'" in outcome.error


@pytest.mark.parametrize("error", [DeviceTimeout("nutrunner", "nothing"), DeviceRefused("nutrunner", "alarm")])
def test_without_a_result_the_tool_is_disabled_and_the_action_stays_open(error: Exception) -> None:
    def broken(bench: StackingBench) -> None:
        bench.errors["nutrunner.result"] = [error]

    far = FarEnd()
    outcome = run_step(bolts, "bolts", broken, far=far, bolts=TWO)
    assert outcome.error == str(error)
    assert far.enabled is None
    assert outcome.bench.facts.built.pending is not None
    assert complete(run(far, outcome.bench.log.events))


def test_the_whole_pack_is_bolted_in_the_recipes_order() -> None:
    outcome = run_step(bolts, "bolts")
    assert passed(outcome)
    order = [f"bolt {bolt}" for bolt in outcome.context.recipe.names("bolts")]
    assert outcome.bench.parts_of("operator.show.tighten") == order
