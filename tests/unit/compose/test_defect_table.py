"""What a run shows is compared with what its case expects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bmsctl.compose import defect_table
from bmsctl.compose.campaign import SimJob, SimOutcome
from bmsctl.compose.defect_table import difference, run_table
from bmsctl.domain.world import DefectCase
from bmsctl.errors import RecipeError

JOB = SimJob("a job", "AS52", 1)
GOOD = DefectCase("half", "", ())
BAD = DefectCase("twice", "", (("hvil", "FAIL"),))
STACKED = DefectCase("open", "", (("hvil_loop", "FAIL"),), station="stacking")
EITHER = DefectCase("10 kOhm", "", (("precharge", "FAIL"), ("insulation_live", "FAIL")))


def outcome(verdict: str, *findings: str, **steps: str | None) -> SimOutcome:
    record: Any = {"verdict": verdict, "steps": [{"name": name, "verdict": each} for name, each in steps.items()]}
    return SimOutcome(JOB, record, list(findings))


@pytest.mark.parametrize(
    ("case", "shown", "expected"),
    [
        (GOOD, outcome("PASS", hvil="PASS"), ""),
        (GOOD, outcome("FAIL", hvil="FAIL"), "hvil FAIL, record FAIL"),
        (BAD, outcome("FAIL", identify="PASS", hvil="FAIL", sleep=None), ""),
        (BAD, outcome("PASS", hvil="PASS"), "PASS"),
        (BAD, outcome("INVALID", hvil="INVALID"), "hvil INVALID, record INVALID"),
        (BAD, outcome("FAIL", bonding="FAIL", hvil="FAIL"), "bonding FAIL, record FAIL"),
        (BAD, outcome("INVALID", hvil="FAIL", sleep="INVALID"), "hvil FAIL, record INVALID"),
        (EITHER, outcome("FAIL", precharge="PASS", insulation_live="FAIL"), ""),
        (EITHER, outcome("FAIL", precharge="FAIL", insulation_live="FAIL"), ""),
        (BAD, outcome("FAIL", "I1: an arc", hvil="FAIL"), "I1: an arc"),
        (BAD, SimOutcome(JOB, None, ["the run broke: x"]), "the run broke: x"),
        (GOOD, SimOutcome(JOB, None), "no record"),
    ],
)
def test_what_is_shown_instead_of_what_is_expected(case: DefectCase, shown: SimOutcome, expected: str) -> None:
    assert difference(case, shown) == expected


def test_every_case_is_run_at_its_station_with_every_seed_and_told_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(jobs: Sequence[SimJob], recipes: Path | None, stations: int) -> Iterator[SimOutcome]:
        assert [(job.name, job.seed, job.station) for job in jobs] == [
            *(("open", seed, "stacking") for seed in (0, 1)),
            *((name, seed, "eol") for name in ("half", "twice") for seed in (0, 1)),
        ]
        good, bad = outcome("PASS", hvil="PASS"), outcome("FAIL", hvil="FAIL")
        opened = outcome("FAIL", hvil_loop="FAIL")
        yield from (opened, good, good, bad, bad, bad)

    tables = {"stacking": [STACKED], "eol": [GOOD, BAD]}
    monkeypatch.setattr(defect_table, "defect_cases", lambda world, recipe, station: tables[station])
    monkeypatch.setattr(defect_table, "run_jobs", shown)
    loop, half, twice = run_table("AS52", None, 2, 1)
    assert (loop.wrong, loop.expected) == ({1: "PASS"}, "hvil_loop FAIL")
    assert (half.wrong, half.expected, half.seeds) == ({1: "hvil FAIL, record FAIL"}, "PASS", 2)
    assert (twice.wrong, twice.expected) == ({}, "hvil FAIL")


def test_a_pack_nobody_knows_has_no_table() -> None:
    with pytest.raises(RecipeError, match="AS99"):
        next(run_table("AS99", None, 1, 1))
