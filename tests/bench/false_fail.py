"""How far good packs are from every limit: z = (limit ± U95 - mean) / sd over many good packs, U95 that of the
reading nearest the limit (in proportion, where it is the logarithm that is normal).

`python -m tests.bench.false_fail 1000` prints every measurement, the nearest first; exits 1 if one is nearer than
Z_MIN, if a pack does not pass, or if an observer found anything. As a part of the bench it prints one JSON line.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bmsctl.compose.campaign import SimJob, run_jobs
from bmsctl.domain.quantities import quantity
from tests.support.simulate import RECIPE

Z_MIN = 4.2
NEAREST = 10
"""Limits shown in one JSON line."""

LOGARITHMIC = {
    ("bonding", "resistance_max"),
    ("insulation_outer", "insulation_plus"),
    ("insulation_outer", "insulation_minus"),
    ("insulation_outer", "insulation_both"),
    ("withstand", "insulation_after"),
    ("insulation_live", "insulation_resistance"),
    ("insulation_live", "insulation_parallel"),
    ("insulation_live", "insulation_plus"),
    ("insulation_live", "insulation_minus"),
    ("precharge", "imd_before"),
}
"""Measurements whose population is given by the standard deviation of the logarithm."""


class Distance(NamedTuple):
    """One side of one measurement."""

    z: float
    step: str
    name: str
    side: str
    mean: float
    sd: float
    acceptance: float
    unit: str | None


def distances(records: Iterable[Mapping[str, Any]]) -> list[Distance]:
    """Of every limit, the nearest first."""
    values: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        for step in record["steps"]:
            for each in step["measurements"]:
                if each["value"] is not None:
                    values.setdefault((step["name"], each["name"]), []).append(each)
    limits = {(step.run, name): limit for step in RECIPE.steps("eol") for name, limit in step.limits.items()}
    found = []
    for (step, name), each in values.items():
        limit = limits[step, name]
        logarithmic = (step, name) in LOGARITHMIC
        scale = math.log if logarithmic else float
        drawn = [scale(one["value"]) for one in each]
        mean, sd = statistics.fmean(drawn), statistics.pstdev(drawn)
        for side, bound, sign in (("low", limit.low, 1.0), ("high", limit.high, -1.0)):
            if bound is not None:
                nearest = min(each, key=lambda one, sign=sign: sign * one["value"])
                u95 = (nearest["u95"] or 0.0) if limit.guard else 0.0
                acceptance = bound + sign * (u95 * bound / nearest["value"] if logarithmic else u95)
                room = sign * (mean - scale(acceptance)) if scale is float or acceptance > 0.0 else math.inf
                z = room / sd if sd > 0.0 else math.copysign(math.inf, room) if room else math.inf
                found.append(Distance(z, step, name, side, mean, sd, acceptance, limit.unit))
    return sorted(found)


def measure(packs: int) -> tuple[list[Distance], list[str]]:
    """Distances over good packs with seeds 0 to `packs - 1`, and everything that went wrong."""
    jobs = [SimJob(f"seed {seed}", RECIPE.id, seed) for seed in range(packs)]
    records, trouble = [], []
    for outcome in run_jobs(jobs, None, len(os.sched_getaffinity(0))):
        if outcome.record is not None:
            records.append(outcome.record)
        if outcome.verdict != "PASS" or outcome.findings:
            trouble.append(f"{outcome.job.name}: {outcome.verdict} {outcome.first_not_pass} {outcome.findings}")
    return distances(records), trouble


def main(packs: int, *, as_json: bool) -> int:
    found, trouble = measure(packs)
    finite = [each for each in found if each.z < math.inf]
    if as_json:
        nearest = [{"z": each.z, "limit": f"{each.step}.{each.name} {each.side}"} for each in finite[:NEAREST]]
        json.dump({"nearest": nearest, "packs": packs, "trouble": trouble}, sys.stdout)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(f"{'z':>7}  {'measurement':<44} {'side':<5} {'acceptance':>12}  mean ± sd\n")
        for each in finite:
            logs = (each.step, each.name) in LOGARITHMIC
            mean = math.exp(each.mean) if logs else each.mean
            sd = f"log {each.sd:.3f}" if logs else quantity(each.sd, each.unit)
            name = f"{each.step}.{each.name}"
            acceptance = quantity(each.acceptance, each.unit)
            sys.stdout.write(
                f"{each.z:7.1f}  {name:<44} {each.side:<5} {acceptance:>12}  {quantity(mean, each.unit)} ± {sd}\n"
            )
        for line in trouble:
            sys.stdout.write(f"{line}\n")
        sys.stdout.write(f"{packs - len(trouble)} of {packs} good packs PASS; nearest limit z = {finite[0].z:.1f}\n")
    return 1 if trouble or finite[0].z < Z_MIN else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, as_json="--json" in sys.argv))
