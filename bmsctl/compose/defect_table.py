"""The defect table, run and compared: is every defect found at its step, and at half of it not found?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bmsctl.compose.campaign import SimJob, SimOutcome, run_jobs
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.simulation import SIMULATED_DAY
from bmsctl.compose.worlds import defect_cases
from bmsctl.domain.recipe import STATIONS
from bmsctl.domain.world import DefectCase


@dataclass
class CaseResult:
    """One case over its seeds: what was found instead of what is expected, by seed."""

    case: DefectCase
    seeds: int
    wrong: dict[int, str] = field(default_factory=dict)

    @property
    def expected(self) -> str:
        """In words."""
        return " or ".join(f"{step} {verdict}" for step, verdict in self.case.expected) or "PASS"


def run_table(pack: str, recipes: Path | None, seeds: int, stations: int) -> Iterator[CaseResult]:
    """Every case of a pack at every station, with seeds 0 to `seeds - 1`, one after the other.

    Raises:
        RecipeError: as `RecipeBook.by_pack`.
    """
    recipe = RecipeBook(recipes).by_pack(pack, SIMULATED_DAY)
    cases = [case for station in STATIONS for case in defect_cases("sim", recipe, station)]
    jobs = [
        SimJob(case.name, pack, seed, case.scenario, station=case.station) for case in cases for seed in range(seeds)
    ]
    outcomes = run_jobs(jobs, recipes, stations)
    for case in cases:
        result = CaseResult(case, seeds)
        for seed in range(seeds):
            wrong = difference(case, next(outcomes))
            if wrong:
                result.wrong[seed] = wrong
        yield result


def difference(case: DefectCase, outcome: SimOutcome) -> str:
    """What an outcome shows instead of what is expected; empty if it is as expected."""
    if outcome.findings or outcome.record is None:
        return "; ".join(outcome.findings) or "no record"
    found = outcome.first_not_pass
    if found is None:
        return "PASS" if case.expected else ""
    step, verdict = found
    if found in case.expected and outcome.verdict == verdict:
        return ""
    return f"{step} {verdict}, record {outcome.verdict}"
