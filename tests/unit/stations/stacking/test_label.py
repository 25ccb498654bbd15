"""The pack's label is printed once, and a second one is never left over."""

from __future__ import annotations

import pytest

from bmsctl.domain.events import ActionIntended, ActionUnknown
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused
from bmsctl.stations.stacking.label import label
from tests.support.stacking_bench import StackingBench, passed, run_step
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import SERIAL

PART_NUMBER = "295B08142R"


def test_the_label_is_printed_put_on_and_read_back() -> None:
    outcome = run_step(label, "label")
    assert passed(outcome)
    assert outcome.bench.names() == ["label_printer.print", "operator.confirm.apply", "operator.scan.apply"]
    assert outcome.bench.of("label_printer.print") == [(SERIAL, PART_NUMBER)]


@pytest.mark.parametrize("read", [f"{PART_NUMBER};AS52000000002", f"295B00000R;{SERIAL}"])
def test_another_packs_label_fails(read: str) -> None:
    outcome = run_step(label, "label", far=FarEnd(labels={"": read}))
    assert outcome.verdicts == {"label_match": Verdict.FAIL}
    assert read in outcome.reason("label_match")


def test_a_printer_out_of_paper_is_invalid() -> None:
    def script(bench: StackingBench) -> None:
        bench.errors["label_printer.print"] = [DeviceRefused("label_printer", "out of paper")]

    outcome = run_step(label, "label", script)
    assert outcome.error == "label_printer: out of paper"
    assert outcome.bench.of("operator.confirm.apply") == []


def test_a_label_on_record_is_not_printed_again() -> None:
    first = run_step(label, "label", lives=3)
    assert first.error == "died"
    second = run_step(label, "label", begun=first.bench.log.events)
    assert passed(second)
    assert second.bench.of("label_printer.print") == []


def test_when_nobody_knows_whether_it_was_printed_what_is_left_over_is_destroyed() -> None:
    first = run_step(label, "label", dies_at=1)
    second = run_step(label, "label", begun=first.bench.log.events)
    assert passed(second)
    assert second.bench.of("operator.confirm.apply") == [("", "destroy every other label of this pack")]
    kinds = [type(event) for event in second.bench.log.events]
    assert kinds.index(ActionUnknown) < len(kinds) - 1 - kinds[::-1].index(ActionIntended)


def test_a_label_that_was_read_back_needs_nothing_more() -> None:
    first = run_step(label, "label")
    second = run_step(label, "label", begun=first.bench.log.events)
    assert passed(second)
    assert second.bench.names() == []
