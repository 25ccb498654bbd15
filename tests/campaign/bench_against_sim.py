"""Whole stations in real time against the simulated clock: the same seed must give the same verdicts, step by step.

`python -m tests.campaign.bench_against_sim 20` runs so many packs one after another on a bench of their own: the
kernel's vcan where it is set up (`hil/vcan/run` gives one), the bench's buses otherwise. A run that the machine
stalled is told apart. The packs are those of 1,000 that need the shortest charge, which is waited for in real time.
Exits 1 if a run differs that was not stalled.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from bmsctl.compose.eol import run_eol
from bmsctl.compose.station import Order
from bmsctl.domain.packml import Mode
from bmsctl.domain.recipe import Recipe
from firmware_stubs.world import SimWorld
from hil.bench import own_bench, prefer_this_process
from hil.dwell import shortened
from hil.runs import HilResult, run_on_bench
from tests.support.simulate import RECIPE

SEEDS = (238, 64, 801, 340, 693, 805, 914, 509, 909, 813, 91, 362, 331, 886, 352, 283, 522, 896, 758, 390)

Verdicts = dict[str, str | None]


def verdicts(record: Mapping[str, Any] | None) -> Verdicts:
    """Of the run and of every step."""
    if record is None:
        return {"run": None}
    return {"run": record["verdict"], **{step["name"]: step["verdict"] for step in record["steps"]}}


def simulated(recipe: Recipe, seed: int) -> Verdicts:
    """What the simulated clock makes of the pack."""
    world = SimWorld(recipe, seed=seed, scenario=None)
    order = Order(recipe, world.name, world.simulated, Mode.ENGINEERING)
    with tempfile.TemporaryDirectory() as store:
        return verdicts(world.run(lambda site: run_eol(site, Path(store), order, None)))


def differences(result: HilResult, expected: Verdicts) -> Iterator[str]:
    """What is not as in the simulation."""
    found = verdicts(result.record)
    for name, verdict in expected.items():
        if found.get(name) != verdict:
            yield f"{name} {found.get(name)} instead of {verdict}"
    if result.record is not None and result.record["reason"]:
        yield result.record["reason"]
    yield from result.findings


@click.command()
@click.argument("runs", type=click.IntRange(1, len(SEEDS)))
@click.option("--from", "first", type=click.IntRange(0, len(SEEDS) - 1), default=0, help="Number of the first pack.")
@click.option("--dwell-factor", type=click.FloatRange(1.0, 10.0), default=10.0, show_default=True)
def main(runs: int, first: int, dwell_factor: float) -> None:
    """Compare so many packs, and print a line for each."""
    recipe = shortened(RECIPE, dwell_factor)
    seeds = SEEDS[first : first + runs]
    expected = {seed: simulated(recipe, seed) for seed in seeds}
    prefer_this_process()
    counts = {"same": 0, "stalled": 0, "different": 0}
    with own_bench() as bench:
        for seed in seeds:
            counts[_compare(bench.layout.folder, recipe, seed, expected[seed])] += 1
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    sys.exit(1 if counts["different"] else 0)


def _compare(bench: Path, recipe: Recipe, seed: int, expected: Verdicts) -> str:
    """Run one pack; what came of it."""
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as store:
        result = run_on_bench(bench, recipe, seed=seed, scenario=None, scenario_file="", store=Path(store))
    found = list(differences(result, expected))
    outcome = "same" if not found else "stalled" if result.contention else "different"
    told = "; ".join([*found, *filter(None, [result.contention])])
    click.echo(
        f"seed {seed}: {verdicts(result.record)['run']}, {outcome}, {time.monotonic() - started_s:.0f} s  {told}"
    )
    return outcome


if __name__ == "__main__":
    main()
