"""Which faults a campaign on the bench runs."""

from __future__ import annotations

import pytest

from bmsctl.domain.steps import STEP_NAMES
from firmware_stubs.faults import FAULTS
from firmware_stubs.world import eol_scenario
from hil.wire_faults import chosen, wire_faults


def test_every_row_is_a_scenario_that_the_stubs_understand() -> None:
    for row in wire_faults():
        (fault,) = eol_scenario(row.scenario, "test").faults
        assert (fault.kind, fault.target, fault.step, fault.after_s) == (row.kind, row.device, row.step, row.after_s)
        assert row.device in FAULTS[row.kind].targets
        assert row.step in STEP_NAMES["eol"]


def test_no_fault_of_a_wire_may_fail_a_pack() -> None:
    assert {row.verdict for row in wire_faults()} == {"INVALID", "ABORTED", "PASS"}


def test_faults_are_chosen_by_name_or_number() -> None:
    assert {row.kind for row in chosen("D2, serial.split")} == {"can.silent", "serial.split"}
    assert chosen("all") == list(wire_faults())


def test_an_unknown_fault_is_refused_and_the_known_are_told() -> None:
    with pytest.raises(ValueError, match=r"'Z9' is no fault of a wire; known: .*can\.silent"):
        chosen("Z9")
