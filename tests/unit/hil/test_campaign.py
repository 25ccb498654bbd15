"""Which faults a campaign on the bench runs."""

from __future__ import annotations

from bmsctl.compose.fault_campaign import chosen
from bmsctl.domain.steps import STEP_NAMES
from firmware_stubs.fault_cases import cases
from hil.campaign import bench_cases
from tests.support.simulate import RECIPE


def test_each_fault_of_the_table_is_tried_once_on_each_device() -> None:
    tried = [(case.kind, case.target) for case in bench_cases(RECIPE)]
    assert len(tried) == len(set(tried))
    assert set(tried) == {(case.kind, case.target) for case in cases(RECIPE)}


def test_it_is_tried_in_the_earliest_of_its_steps() -> None:
    order = STEP_NAMES["eol"]
    for case in bench_cases(RECIPE):
        others = [other for other in cases(RECIPE) if (other.kind, other.target) == (case.kind, case.target)]
        assert order.index(case.begins_in) == min(order.index(other.begins_in) for other in others)


def test_faults_are_chosen_by_name_or_number() -> None:
    found = chosen(bench_cases(RECIPE), "D2, serial.split")
    assert {case.kind for case in found} == {"can.silent", "serial.split"}
