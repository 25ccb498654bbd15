"""The fault tables, run and compared: does every fault of a station end as the catalogue says, and safely?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bmsctl.compose.campaign import SimJob, SimOutcome, run_jobs
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.simulation import SIMULATED_DAY
from bmsctl.compose.worlds import fault_cases
from bmsctl.domain.recipe import STATIONS
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import FaultCase
from bmsctl.errors import ScenarioError

ALL = "all"


@dataclass
class FaultResult:
    """One case over its seeds: what was found instead of what is expected, by seed."""

    case: FaultCase
    seeds: int
    wrong: dict[int, str] = field(default_factory=dict)


def chosen_cases(pack: str, recipes: Path | None, faults: str) -> list[FaultCase]:
    """The cases of a pack, at every station, whose fault is chosen; raises as `chosen` and `RecipeBook.by_pack`."""
    recipe = RecipeBook(recipes).by_pack(pack, SIMULATED_DAY)
    return chosen([case for station in STATIONS for case in fault_cases("sim", recipe, station)], faults)


def chosen(cases: Sequence[FaultCase], faults: str) -> list[FaultCase]:
    """Those whose kind is among `faults`: "all", or names and catalogue numbers with commas between.

    Raises:
        ScenarioError: a fault has no case.
    """
    if faults == ALL:
        return list(cases)
    wanted = [name.strip() for name in faults.split(",")]
    known = {case.kind for case in cases} | {case.catalogue_id for case in cases}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        names = ", ".join(sorted({case.kind for case in cases}))
        raise ScenarioError(f"--faults {unknown[0]}: no such fault; take all, a catalogue number, or one of {names}")
    return [case for case in cases if case.kind in wanted or case.catalogue_id in wanted]


def run_campaign(
    cases: Sequence[FaultCase], pack: str, recipes: Path | None, seeds: int, stations: int
) -> Iterator[FaultResult]:
    """Every case with seeds 0 to `seeds - 1`, one after the other; raises as `run_jobs`."""
    jobs = [
        SimJob(case.name, pack, seed, case.scenario, station=case.station) for case in cases for seed in range(seeds)
    ]
    outcomes = run_jobs(jobs, recipes, stations)
    for case in cases:
        result = FaultResult(case, seeds)
        for seed in range(seeds):
            wrong = difference(case, next(outcomes))
            if wrong:
                result.wrong[seed] = wrong
        yield result


def difference(case: FaultCase, outcome: SimOutcome) -> str:
    """What an outcome shows instead of what is expected; empty if it is as expected."""
    record = outcome.record
    if outcome.findings or record is None:
        return "; ".join(outcome.findings) or "no record"
    failed = [step["name"] for step in record["steps"] if step["verdict"] == Verdict.FAIL]
    if outcome.verdict != case.verdict:
        return f"record {outcome.verdict}: {record['reason']}"
    if failed and case.verdict != Verdict.FAIL:
        return f"{', '.join(failed)} FAIL for a fault of the station"
    first = outcome.first_not_pass
    if case.step is not None and (first is None or first[0] != case.step):
        return f"first not PASS: {'none' if first is None else first[0]}"
    reasons = [record["reason"], *(step["reason"] for step in record["steps"])]
    if not any(case.says in reason for reason in reasons if reason is not None) and case.says:
        return f"the reason does not say {case.says!r}: {record['reason']}"
    return ""
