"""Busbars and cover: what is put on before it is bolted, who may do it, and what comes before a busbar is loosened."""

from __future__ import annotations

import pytest

from bmsctl.domain.events import PartInstalled, PartRemoved
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused
from bmsctl.stations.stacking.bolts import busbars, cover_bolts
from tests.support.stacking_bench import passed, run_step
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import built

HARNESS_OFF = ["operator.confirm.open", "operator.confirm.remove", "operator.confirm.loosen"]


def handed(names: list[str]) -> list[str]:
    """What the person was asked to do, but for the tightening itself."""
    return [name for name in names if name.startswith("operator.confirm")]


def test_each_busbar_is_bolted_before_the_next_is_laid() -> None:
    outcome = run_step(busbars, "busbars")
    assert passed(outcome)
    tasks = [
        (name, args[0])
        for name, *args in outcome.bench.calls
        if name in ("operator.confirm.place", "operator.show.tighten")
    ]
    assert tasks[:4] == [
        ("operator.confirm.place", "busbar 1"),
        ("operator.show.tighten", "bolt b1.1"),
        ("operator.show.tighten", "bolt b1.2"),
        ("operator.confirm.place", "busbar 2"),
    ]
    assert outcome.bench.of("operator.confirm.place")[0][1] == "module 1 plus to module 2 minus"


def test_live_work_begins_with_a_person_who_may_do_it() -> None:
    outcome = run_step(busbars, "busbars")
    assert outcome.bench.names()[0] == "operator.qualified"
    assert "badge 7: live work" in outcome.bench.log.notes()


def test_nothing_is_laid_by_a_person_who_may_not() -> None:
    refused = DeviceRefused("operator", "badge 7 has no such qualification")
    outcome = run_step(busbars, "busbars", lambda bench: bench.errors.update({"operator.qualified": [refused]}))
    assert outcome.error == str(refused)
    assert outcome.bench.names() == ["operator.qualified"]


def test_the_disconnect_is_taken_out_also_when_the_harness_is_off() -> None:
    outcome = run_step(busbars, "busbars", far=FarEnd(torque_nm={"bolt b2.1": [7.0], "bolt b2.2": [7.0]}))
    assert passed(outcome)
    asked = [name for name in handed(outcome.bench.names()) if name != "operator.confirm.place"]
    assert asked == 2 * ["operator.confirm.open", "operator.confirm.loosen"]
    assert set(outcome.bench.parts_of("operator.confirm.open")) == {"service_disconnect"}


def test_a_busbar_is_loosened_only_with_disconnect_out_and_harness_off() -> None:
    far = FarEnd(torque_nm={"bolt b2.1": [7.0], "bolt b2.2": [7.0]})
    outcome = run_step(busbars, "busbars", far=far, begun=built("harness"))
    assert passed(outcome)
    names = handed(outcome.bench.names())
    first = names.index("operator.confirm.loosen")
    assert names[first - 2 : first + 1] == HARNESS_OFF
    assert outcome.bench.parts_of("operator.confirm.remove") == ["harness"]
    removed = [event.slot for event in outcome.bench.log.events if isinstance(event, PartRemoved)]
    assert removed == ["harness", "bolt b2.1", "bolt b2.2"]


def test_a_busbar_that_cannot_be_bolted_ends_the_step() -> None:
    outcome = run_step(busbars, "busbars", far=FarEnd(torque_nm={"bolt b1.2": [7.0, 7.0]}))
    assert outcome.verdicts["torque[b1.2]"] is Verdict.FAIL
    assert outcome.bench.parts_of("operator.confirm.place") == ["busbar 1"]


def test_the_cover_is_laid_once_and_bolted() -> None:
    outcome = run_step(cover_bolts, "cover_bolts")
    assert passed(outcome)
    assert outcome.bench.parts_of("operator.confirm.place") == ["cover"]
    kept = run_step(cover_bolts, "cover_bolts", begun=built("cover"))
    assert kept.bench.of("operator.confirm.place") == []


@pytest.mark.parametrize("lives", range(2, 40, 5))
def test_killed_after_any_event_busbars_and_bolts_are_put_in_once(lives: int) -> None:
    far = FarEnd()
    first = run_step(busbars, "busbars", far=far, lives=lives)
    second = run_step(busbars, "busbars", far=far, begun=first.bench.log.events)
    assert passed(second)
    slots = [event.slot for event in second.bench.log.events if isinstance(event, PartInstalled)]
    assert len(slots) == len(set(slots)) == 15
