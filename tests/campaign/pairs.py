"""Two defects at once: the earlier step finds the first, and nothing is energised that must not be.

`python -m tests.campaign.pairs 200` runs so many random pairs and prints those that are not as expected.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from bmsctl.compose.campaign import SimJob, SimOutcome, run_jobs
from bmsctl.compose.worlds import defect_cases
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.steps import STEP_NAMES, Gate, gate_of
from bmsctl.domain.world import DefectCase
from bmsctl.errors import ScenarioError
from firmware_stubs.world import SimWorld
from tests.support.simulate import RECIPE

ORDER = STEP_NAMES["eol"]
PLUS_WELDED = {"contactor_welded main_plus", "contactor_welded precharge"}
MINUS_WELDED = {"contactor_welded main_minus"}
"""Welds on both sides make a pack that arrives live; it is refused before the first step."""

TO_CHASSIS = {
    "insulation negative twice": PLUS_WELDED,
    "insulation negative hard": PLUS_WELDED,
    "insulation negative 10 kOhm": PLUS_WELDED,
    "insulation positive twice": MINUS_WELDED,
    "insulation positive hard": MINUS_WELDED,
    "insulation positive 10 kOhm": MINUS_WELDED,
}
"""A fault to chassis, and the welds on the other side that with it may lift the welded pole above 60 V to chassis."""

Pair = tuple[DefectCase, DefectCase]


def pairs(recipe: Recipe, seed: int) -> Iterator[Pair]:
    """Random pairs of defects that a pack can have at the same time."""
    found = [case for case in defect_cases("sim", recipe) if case.expected]
    order = random.Random(seed)
    while True:
        first, second = order.sample(found, 2)
        names = {first.name, second.name}
        if names & PLUS_WELDED and names & MINUS_WELDED:
            continue
        try:
            SimWorld(recipe, seed=0, scenario=first.scenario + second.scenario)
        except ScenarioError:
            continue
        yield first, second


def may_arrive_live(pair: Pair) -> bool:
    """Whether an outer pole may be above 60 V to chassis before anything is switched."""
    names = {case.name for case in pair}
    return any(names & welds for fault, welds in TO_CHASSIS.items() if fault in names)


def job(pair: Pair, seed: int) -> SimJob:
    """The run of a pair."""
    first, second = pair
    return SimJob(f"{first.name} + {second.name}", RECIPE.id, seed, first.scenario + second.scenario)


def wrong(pair: Pair, outcome: SimOutcome) -> str:
    """What is not as it must be; empty if all is."""
    if outcome.findings or outcome.record is None:
        return "; ".join(outcome.findings) or "no record"
    expected = {step: verdict for case in pair for step, verdict in case.expected}
    earliest = min(min(ORDER.index(step) for step, _ in case.expected) for case in pair)
    latest = min(max(ORDER.index(step) for step, _ in case.expected) for case in pair)
    step, verdict = outcome.first_not_pass or ("none", "PASS")
    if verdict == "None" and may_arrive_live(pair):
        return "" if outcome.verdict == "INVALID" else f"arrived live, record {outcome.verdict}"
    if not earliest <= (ORDER.index(step) if step in ORDER else -1) <= latest or expected.get(step) != verdict:
        return f"first {step} {verdict}"
    verdicts = [each["verdict"] for each in outcome.record["steps"]]
    if outcome.verdict != ("FAIL" if "FAIL" in verdicts else "INVALID"):
        return f"record {outcome.verdict}"
    return "; ".join(_energised(outcome.record))


def _energised(record: dict[str, Any] | Any) -> Iterator[str]:
    """Steps that were run although an earlier one shut their gate."""
    shut: set[Gate] = set()
    for step in record["steps"]:
        if step["name"] == "make_safe":
            continue
        rule = gate_of(step["name"])
        if step["verdict"] is not None and (Gate.RUN in shut or shut & set(rule.needs)):
            yield f"{step['name']} was run"
        if step["verdict"] not in (None, "PASS"):
            shut |= set(rule.blocks)


def main(count: int) -> int:
    drawn = list(islice(pairs(RECIPE, 1), count))
    jobs = [job(pair, seed) for seed, pair in enumerate(drawn)]
    bad = 0
    for pair, outcome in zip(drawn, run_jobs(jobs, None, len(os.sched_getaffinity(0))), strict=True):
        what = wrong(pair, outcome)
        if what:
            bad += 1
            sys.stdout.write(f"seed {outcome.job.seed}: {outcome.job.name}: {what}\n")
    sys.stdout.write(f"{count - bad} of {count} pairs as expected\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
