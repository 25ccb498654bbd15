"""What a disturbed run shows is compared with what its case expects; faults are chosen by name or number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bmsctl.compose import fault_campaign
from bmsctl.compose.campaign import SimJob, SimOutcome
from bmsctl.compose.fault_campaign import chosen_cases, difference, run_campaign
from bmsctl.domain.world import FaultCase
from bmsctl.errors import ScenarioError

JOB = SimJob("a job", "AS52", 1)
INVALID = FaultCase("can.silent", "D2", "bms", "dcir", "", "INVALID", "dcir", "bms: silent")
FAIL = FaultCase("contactor.stays_closed", "D9b", "bms", "dcir", "", "FAIL", None, "60 V")
PASS = FaultCase("serial.split", "E2", "cycler", "dcir", "", "PASS", None, "")


def outcome(verdict: str, reason: str | None, *findings: str, **steps: str | None) -> SimOutcome:
    record: Any = {
        "verdict": verdict,
        "reason": reason,
        "steps": [{"name": name, "verdict": each, "reason": None} for name, each in steps.items()],
    }
    return SimOutcome(JOB, record, list(findings))


@pytest.mark.parametrize(
    ("case", "shown", "expected"),
    [
        (INVALID, outcome("INVALID", "bms: silent", hvil="PASS", dcir="INVALID"), ""),
        (INVALID, outcome("INVALID", "cycler: silent", dcir="INVALID"), "the reason does not say"),
        (INVALID, outcome("PASS", None, dcir="PASS"), "record PASS"),
        (INVALID, outcome("INVALID", "bms: silent", hvil="INVALID"), "first not PASS: hvil"),
        (INVALID, outcome("INVALID", "bms: silent", dcir="INVALID", make_safe="FAIL"), "make_safe FAIL"),
        (INVALID, outcome("INVALID", "bms: silent", "I1: 300 V", dcir="INVALID"), "I1: 300 V"),
        (INVALID, SimOutcome(JOB, None), "no record"),
        (FAIL, outcome("FAIL", "60 V", sleep="INVALID", make_safe="FAIL"), ""),
        (PASS, outcome("PASS", None, dcir="PASS"), ""),
        (PASS, outcome("INVALID", "cycler: silent", dcir="INVALID"), "record INVALID"),
    ],
)
def test_what_is_shown_instead_of_what_is_expected(case: FaultCase, shown: SimOutcome, expected: str) -> None:
    found = difference(case, shown)
    assert found.startswith(expected) if expected else found == ""


def test_a_reason_may_be_a_steps() -> None:
    shown = outcome("INVALID", "cells: over its time budget", dcir="INVALID")
    assert shown.record is not None
    shown.record["steps"][0]["reason"] = "bms: silent for 1 s"
    assert difference(INVALID, shown) == ""


@pytest.mark.parametrize("faults", ["D2,plc.replay", "can.silent, F3"])
def test_faults_are_chosen_by_name_or_number(faults: str) -> None:
    assert {case.kind for case in chosen_cases("AS52", None, faults)} == {"can.silent", "plc.replay"}


def test_all_faults_are_more_than_some() -> None:
    assert len(chosen_cases("AS52", None, "all")) > len(chosen_cases("AS52", None, "D2"))


@pytest.mark.parametrize("faults", ["D11", "", "all,D2", "d2"])
def test_a_fault_that_nobody_knows_is_refused(faults: str) -> None:
    with pytest.raises(ScenarioError, match="no such fault"):
        chosen_cases("AS52", None, faults)


def test_every_case_is_run_with_every_seed_and_told_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(jobs: Sequence[SimJob], recipes: Path | None, stations: int) -> Iterator[SimOutcome]:
        assert [(job.name, job.seed) for job in jobs] == [
            (case.name, seed) for case in (INVALID, PASS) for seed in (0, 1)
        ]
        good, bad = outcome("PASS", None, dcir="PASS"), outcome("INVALID", "bms: silent", dcir="INVALID")
        yield from (bad, good, good, good)

    monkeypatch.setattr(fault_campaign, "run_jobs", shown)
    first, second = run_campaign([INVALID, PASS], "AS52", None, 2, 1)
    assert (first.seeds, first.wrong) == (2, {1: "record PASS: None"})
    assert second.wrong == {}
