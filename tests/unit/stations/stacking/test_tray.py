"""The tray's label is judged before the tray is loaded."""

from __future__ import annotations

import pytest

from bmsctl.domain.events import PartInstalled
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceTimeout
from bmsctl.protocols.part_label import PartLabel
from bmsctl.stations.stacking.tray import tray
from tests.support.stacking_bench import StackingBench, passed, run_step
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import SERIAL, TRAY


def test_a_right_and_new_tray_is_loaded_and_on_record() -> None:
    outcome = run_step(tray, "tray")
    assert passed(outcome)
    assert outcome.bench.names() == ["parts.pack_of", "operator.confirm.load"]
    assert outcome.bench.log.events[-1] == PartInstalled("tray", TRAY.part_number, SERIAL, "T1")


def test_a_wrong_tray_fails_unloaded() -> None:
    def script(bench: StackingBench) -> None:
        bench.facts.tray = PartLabel("295T40000R", SERIAL)

    outcome = run_step(tray, "tray", script)
    assert outcome.verdicts == {"part_match": Verdict.FAIL}
    assert outcome.bench.names() == []


def test_a_used_tray_fails_unloaded() -> None:
    outcome = run_step(tray, "tray", far=FarEnd(packs={SERIAL: SERIAL}))
    assert outcome.verdicts == {"part_match": Verdict.PASS, "used": Verdict.FAIL}
    assert outcome.bench.parts_of("operator.confirm.load") == []


def test_without_an_answer_of_the_mes_nothing_is_known() -> None:
    silent = DeviceTimeout("parts", "no answer")
    outcome = run_step(tray, "tray", lambda bench: bench.errors.update({"parts.pack_of": [silent]}))
    assert outcome.error == str(silent)
    assert outcome.context.missing() == ["used"]


@pytest.mark.parametrize("lives", range(1, 4))
def test_killed_after_any_event_it_is_loaded_once(lives: int) -> None:
    first = run_step(tray, "tray", lives=lives)
    second = run_step(tray, "tray", begun=first.bench.log.events)
    assert passed(second)
    assert len([event for event in second.bench.log.events if isinstance(event, PartInstalled)]) == 1
