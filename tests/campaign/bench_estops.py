"""The emergency stop pressed in every step on a bench, in real time: aborted, and proven below 60 V.

`python -m tests.campaign.bench_estops` presses once in each step that the recipe lets begin, or in those named, a
short while after it began; a step that takes less has then given way to the next. Prints a line a step; exits 1 if a
run was not aborted, or the pack is not proven dead by all voltmeters.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bmsctl.domain.recipe import EOL
from bmsctl.stations.run import SAFE_STEP
from hil.bench import own_bench, prefer_this_process
from hil.dwell import shortened
from hil.runs import HilResult, run_on_bench
from tests.support.simulate import RECIPE

SEED = 238
AFTER_S = 0.2
VOLTMETERS = ("u_pn_digitizer", "u_pn_plc", "u_p_pe", "u_n_pe")
SAFE_V = 60.0


def pressed_in(step: str) -> str:
    """A scenario with the emergency stop pressed in a step; the last one is short."""
    after_s = 0.0 if step == SAFE_STEP else AFTER_S
    return f'[[fault]]\nkind = "safety.estop"\ntarget = "plc"\nstep = "{step}"\nafter = "{after_s} s"\n'


def wrong(result: HilResult, step: str) -> Iterator[str]:
    """What is not as it should be after the emergency stop."""
    yield from result.findings
    record = result.record
    if record is None:
        yield "no record"
        return
    if record["verdict"] != "ABORTED":
        yield f"{record['verdict']}: {record['reason']}"
    begun = [one["name"] for one in record["steps"] if one["started_s"] is not None]
    if step not in (*begun, SAFE_STEP):
        yield f"was not begun; the last that was is {begun[-1]}"
    yield from _not_dead(record["steps"])


def _not_dead(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Voltmeters that do not prove the pack dead, as the safety action read them."""
    (make_safe,) = (one for one in steps if one["name"] == SAFE_STEP)
    read = {one["name"]: one["value"] for one in make_safe["measurements"]}
    for name in VOLTMETERS:
        value = read.get(name)
        if value is None or not abs(value) < SAFE_V:
            yield f"{name} is {value} V"


@click.command()
@click.argument("steps", nargs=-1, type=click.Choice([step.run for step in RECIPE.steps(EOL)]))
@click.option("--dwell-factor", type=click.FloatRange(1.0, 10.0), default=10.0, show_default=True)
def main(steps: tuple[str, ...], dwell_factor: float) -> None:
    """Press in each of these steps; without any, in every one."""
    recipe = shortened(RECIPE, dwell_factor)
    failed = 0
    prefer_this_process()
    with own_bench() as bench:
        for step in steps or [step.run for step in recipe.steps(EOL)]:
            with tempfile.TemporaryDirectory() as store:
                scenario = pressed_in(step)
                result = run_on_bench(
                    bench.layout.folder, recipe, seed=SEED, scenario=scenario, scenario_file=step, store=Path(store)
                )
            found = list(wrong(result, step))
            failed += bool(found)
            outcome = "wrong" if found else "safe"
            click.echo("; ".join([f"{step}: {outcome}", *found, *filter(None, [result.contention])]))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
