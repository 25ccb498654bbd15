"""Wire faults one after another on one bench, each compared with what must follow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bmsctl.domain.recipe import Recipe
from bmsctl.errors import BmsctlError
from hil.runs import run_on_bench
from hil.wire_faults import WireFault


@dataclass(frozen=True)
class FaultResult:
    """One run: its verdict (None: the run broke), what is wrong about it, and whether the machine stalled it."""

    fault: WireFault
    seed: int
    verdict: str | None
    wrong: tuple[str, ...]
    contention: str | None


def run_campaign(folder: Path, recipe: Recipe, faults: Sequence[WireFault], seeds: int) -> Iterator[FaultResult]:
    """Every fault with seeds 0 to `seeds - 1` on the bench in `folder`.

    Raises:
        KeyboardInterrupt: a signal ended a run; its pack has been made safe.
    """
    for fault in faults:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory(prefix="bmsctl-") as store:
                yield _run(folder, recipe, fault, seed, Path(store))


def _run(folder: Path, recipe: Recipe, fault: WireFault, seed: int, store: Path) -> FaultResult:
    try:
        result = run_on_bench(folder, recipe, seed=seed, scenario=fault.scenario, scenario_file=fault.kind, store=store)
    except BmsctlError as error:
        return FaultResult(fault, seed, None, (f"the run broke: {error}",), None)
    if result.interrupted:
        raise KeyboardInterrupt
    wrong = list(result.findings)
    verdict = None if result.record is None else str(result.record["verdict"])
    if verdict != fault.verdict:
        wrong.append(f"{verdict} instead of {fault.verdict}")
    if result.record is not None and any(step["verdict"] == "FAIL" for step in result.record["steps"]):
        wrong.append("a step is FAIL")
    return FaultResult(fault, seed, verdict, tuple(wrong), result.contention)
