"""The station's faults one after another on one bench, each compared with what the fault table expects."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bmsctl.compose.campaign import SimJob, SimOutcome
from bmsctl.compose.fault_campaign import difference
from bmsctl.domain.recipe import EOL, Recipe
from bmsctl.domain.world import FaultCase
from bmsctl.errors import BmsctlError
from firmware_stubs.fault_cases import cases
from hil.runs import run_on_bench


@dataclass(frozen=True)
class FaultResult:
    """One run: its verdict (None: the run broke), what is wrong about it, and whether the machine stalled it."""

    case: FaultCase
    seed: int
    verdict: str | None
    wrong: str
    contention: str | None


def bench_cases(recipe: Recipe) -> list[FaultCase]:
    """Of the fault table, each kind on each device once, in the earliest of its steps: here a run takes its time."""
    order = [step.run for step in recipe.steps(EOL)]
    earliest: dict[tuple[str, str], FaultCase] = {}
    for case in sorted(cases(recipe), key=lambda case: order.index(case.begins_in)):
        earliest.setdefault((case.kind, case.target), case)
    return list(earliest.values())


def run_campaign(folder: Path, recipe: Recipe, faults: Sequence[FaultCase], seeds: int) -> Iterator[FaultResult]:
    """Every fault with seeds 0 to `seeds - 1` on the bench in `folder`.

    Raises:
        KeyboardInterrupt: a signal ended a run; its pack has been made safe.
    """
    for case in faults:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory(prefix="bmsctl-") as store:
                yield _run(folder, recipe, case, seed, Path(store))


def _run(folder: Path, recipe: Recipe, case: FaultCase, seed: int, store: Path) -> FaultResult:
    try:
        result = run_on_bench(folder, recipe, seed=seed, scenario=case.scenario, scenario_file=case.kind, store=store)
    except BmsctlError as error:
        return FaultResult(case, seed, None, f"the run broke: {error}", None)
    if result.interrupted:
        raise KeyboardInterrupt
    outcome = SimOutcome(SimJob(case.name, recipe.pack.id, seed, case.scenario), result.record, result.findings)
    return FaultResult(case, seed, outcome.verdict, difference(case, outcome), result.contention)
