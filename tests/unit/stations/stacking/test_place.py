"""Modules go into their slots the right way round; one that does not stops the step before any busbar."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bmsctl.domain.events import Event, IncomingMeasured, PartInstalled
from bmsctl.domain.limits import Reading
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.stacking.place import place
from tests.support.fake_devices import Outcome
from tests.support.stacking_bench import passed, run_step
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import CELLS, MODULE, REST_V, STACK, accepted, built

READY = [accepted(number) for number in range(1, 5)]
MODULE_V = CELLS * REST_V
EARLIER = {
    ("place", f"{name}[{slot}]"): reading
    for slot in STACK
    for name, reading in (("serial_match", Reading(1.0, None)), ("voltage", Reading(MODULE_V, "V", 0.04)))
}


def run(far: FarEnd | None = None, begun: Sequence[Event] = READY, **how: object) -> Outcome:
    return run_step(place, "place", far=far, begun=begun, **how)  # type: ignore[arg-type]


def parts(outcome: Outcome) -> list[PartInstalled | IncomingMeasured]:
    return outcome.bench.log.installed()


def test_each_module_is_placed_scanned_measured_and_on_record_with_its_incoming_data() -> None:
    outcome = run()
    assert passed(outcome)
    assert outcome.bench.of("operator.confirm.place")[1] == ("module 2", "M2, poles to the rear")
    assert [type(event) for event in parts(outcome)] == 4 * [PartInstalled, *5 * [IncomingMeasured]]
    assert parts(outcome)[0] == PartInstalled("module 1", MODULE, "M1", "L1")
    incoming = [(event.name, event.unit) for event in parts(outcome)[1:6] if isinstance(event, IncomingMeasured)]
    named = [("age", "s"), ("cell_voltage", "V"), ("voltage", "V"), ("resistance", "Ohm"), ("temperature", "degC")]
    assert incoming == named


def test_a_reversed_module_ends_the_step() -> None:
    outcome = run(FarEnd(volts={"module 3": -MODULE_V}))
    assert outcome.verdicts["voltage[module 3]"] is Verdict.FAIL
    assert "turn it round" in outcome.reason("voltage[module 3]")
    assert outcome.value("voltage[module 3]") == -MODULE_V
    assert outcome.bench.parts_of("operator.confirm.place") == ["module 1", "module 2", "module 3"]


def test_a_module_in_the_wrong_slot_fails_and_is_not_on_record() -> None:
    outcome = run(FarEnd(labels={"module 2": f"{MODULE};M3"}))
    assert outcome.verdicts["serial_match[module 2]"] is Verdict.FAIL
    assert "M3 is in the slot of M2" in outcome.reason("serial_match[module 2]")
    assert [event.slot for event in parts(outcome) if isinstance(event, PartInstalled)] == ["module 1"]
    assert outcome.bench.names()[-1] == "operator.scan.place"


def test_a_slot_for_which_nothing_was_accepted_is_invalid() -> None:
    outcome = run(begun=READY[:2])
    assert outcome.error is not None
    assert "module 3: no module was accepted for it: start the pack again with a cause" in outcome.error


@pytest.mark.parametrize("lives", range(5, 37))
def test_killed_after_any_event_the_record_of_parts_is_the_undisturbed_one(lives: int) -> None:
    first = run(lives=lives)
    assert first.error == "died"
    second = run(begun=first.bench.log.events)
    assert passed(second)
    assert parts(second) == parts(run())


def test_another_module_than_before_the_program_ended_is_invalid() -> None:
    first = run(lives=6)
    second = run(FarEnd(labels={"module 1": f"{MODULE};M3"}), begun=first.bench.log.events)
    assert second.error is not None
    assert "M3 is in the slot of M1" in second.error


def test_a_step_that_had_failed_does_not_go_on_after_the_program_ended() -> None:
    first = run(FarEnd(volts={"module 1": -MODULE_V}))
    second = run(begun=first.bench.log.events)
    assert second.verdicts["voltage[module 1]"] is Verdict.FAIL
    assert second.bench.names() == []


def test_modules_that_have_stayed_in_keep_what_was_measured_of_them() -> None:
    kept = built("module 1", "module 2", "module 4")
    outcome = run(begun=[*kept, accepted(3)], earlier=EARLIER)
    assert passed(outcome)
    assert outcome.bench.parts_of("operator.confirm.place") == ["module 3"]


def test_a_module_that_was_turned_round_since_is_measured_anew() -> None:
    was_wrong = EARLIER | {("place", "voltage[module 1]"): Reading(-MODULE_V, "V", 0.04)}
    outcome = run(begun=built(*STACK), earlier=was_wrong)
    assert passed(outcome)
    assert outcome.bench.parts_of("operator.confirm.place") == ["module 1"]
