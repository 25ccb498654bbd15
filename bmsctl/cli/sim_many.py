"""`bmsctl sim day`, `bmsctl sim defects` and `bmsctl sim campaign`: many packs."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bmsctl.cli.exits import FAILED, INTERRUPTED, OK, STATION, USAGE, leave
from bmsctl.cli.inputs import read_toml
from bmsctl.cli.options import StorePath, json_option, recipes_option

if TYPE_CHECKING:
    from bmsctl.compose.campaign import SimOutcome
    from bmsctl.compose.defect_table import CaseResult
    from bmsctl.compose.fault_campaign import FaultResult
    from bmsctl.domain.world import FaultCase

SEED_MAX = 999_999_999_999
"""Serials of simulated packs carry the seed in at most twelve digits."""

STATIONS = ("eol", "stacking", "both")

stations_option = click.option(
    "--stations",
    type=click.IntRange(1, 64),
    default=lambda: len(os.sched_getaffinity(0)),
    show_default="one a processor",
    help="Simulated stations side by side, each in its own process.",
)


@click.command()
@click.option("--packs", type=click.IntRange(1, 1_000_000), required=True, help="How many packs.")
@click.option("--seed", type=click.IntRange(0, SEED_MAX), required=True, help="Of the first pack; then one more each.")
@click.option("--station", type=click.Choice(STATIONS), default="eol", show_default=True, help="Where they are run.")
@click.option("--mix", type=click.Path(dir_okay=False, path_type=Path), help="Shares of vehicles, as TOML.")
@click.option("--store", type=StorePath(), envvar="BMSCTL_STORE", help="Folder of the store; by default a new one.")
@stations_option
@recipes_option
@json_option
def day(
    packs: int,
    seed: int,
    station: str,
    mix: Path | None,
    store: Path | None,
    stations: int,
    recipes: Path | None,
    as_json: bool,
) -> None:
    """Run a mixed-model shift of good packs; several stations have a store each, inside the folder."""
    from bmsctl.compose.campaign import SimJob, run_jobs
    from bmsctl.compose.shift import planned, read_mix
    from bmsctl.errors import BmsctlError, RecipeError

    try:
        shares = read_mix("" if mix is None else read_toml(mix, "mix of vehicles"), recipes)
    except RecipeError as error:
        leave(USAGE, str(error))
    except ValueError as error:
        leave(USAGE, f"{mix}: {error}")
    if seed + packs - 1 > SEED_MAX:
        leave(USAGE, f"--seed {seed} and {packs} packs: serials end at seed {SEED_MAX}; begin lower")
    if store is None:
        store = Path(tempfile.mkdtemp(prefix="bmsctl-"))
        click.echo(f"store: {store}", err=True)
    stations = min(stations, packs)
    folders = [store] if stations == 1 else [store / f"station-{number}" for number in range(1, stations + 1)]
    jobs = [
        SimJob(vehicle, pack, seed + number, store=folders[number % stations], station=station)
        for number, (vehicle, pack) in enumerate(planned(shares, packs, seed))
    ]
    outcomes: list[SimOutcome] = []
    interrupted = False
    try:
        for outcome in _shown(run_jobs(jobs, recipes, stations), packs):
            outcomes.append(outcome)
            if outcome.record is None:
                break
    except KeyboardInterrupt:
        interrupted = True
    except BmsctlError as error:
        leave(STATION, str(error))
    _print_day(outcomes, as_json)
    for outcome in outcomes:
        if outcome.findings:
            click.echo(f"seed {outcome.job.seed}: {'; '.join(outcome.findings)}", err=True)
    where = ", ".join(map(str, folders))
    if interrupted or outcomes[-1].record is None:
        click.echo(f"bmsctl: ended after {len(outcomes)} of {packs} packs; records so far are in {where}", err=True)
        leave(INTERRUPTED if interrupted else STATION)
    if len(folders) > 1:
        click.echo(f"stores: {where}", err=True)
    leave(FAILED if any(outcome.findings for outcome in outcomes) else OK)


def _shown(outcomes: Iterable[SimOutcome], total: int) -> Iterable[SimOutcome]:
    """The outcomes, counted on a terminal's stderr."""
    for number, outcome in enumerate(outcomes, start=1):
        if sys.stderr.isatty():
            click.echo(f"\r{number}/{total}", nl=number == total, err=True)
        yield outcome


def _print_day(outcomes: Sequence[SimOutcome], as_json: bool) -> None:
    from bmsctl.cli.tables import print_table

    if as_json:
        click.echo(json.dumps(_day(outcomes), ensure_ascii=False, indent=2))
        return
    packs = sorted({(outcome.job.name, outcome.job.pack) for outcome in outcomes})
    rows = []
    for vehicle, pack in packs:
        same = [outcome for outcome in outcomes if (outcome.job.name, outcome.job.pack) == (vehicle, pack)]
        tested = [outcome for outcome in same if outcome.record is not None]
        verdicts = Counter(outcome.verdict for outcome in tested)
        rows.append((vehicle, pack, len(tested), *(verdicts[name] for name in VERDICTS)))
    print_table(("vehicle", "pack", "tested", *VERDICTS), rows)
    for outcome in outcomes:
        if outcome.verdict not in ("PASS", None):
            step, verdict = outcome.first_not_pass or ("-", "-")
            click.echo(f"{outcome.verdict} seed {outcome.job.seed}: {step} {verdict}")


VERDICTS = ("PASS", "FAIL", "INVALID", "ABORTED")


def _day(outcomes: Sequence[SimOutcome]) -> dict[str, Any]:
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    return {
        "packs": len(outcomes),
        "verdicts": {name: verdicts[name] for name in VERDICTS},
        "violations": sum(bool(outcome.findings) for outcome in outcomes),
        "runs": [
            {
                "seed": outcome.job.seed,
                "vehicle": outcome.job.name,
                "pack": outcome.job.pack,
                "pack_serial": None if outcome.record is None else outcome.record["pack_serial"],
                "verdict": outcome.verdict,
                "first_not_pass": outcome.first_not_pass,
                "findings": outcome.findings,
            }
            for outcome in outcomes
        ],
    }


@click.command()
@click.option("--pack", default="AS52", show_default=True, help="Pack to build and test.")
@click.option("--seeds", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Packs for each case.")
@stations_option
@recipes_option
@json_option
def defects(pack: str, seeds: int, stations: int, recipes: Path | None, as_json: bool) -> None:
    """Run every defect, at twice its limit and at half of it, and compare with where it must be found."""
    from bmsctl.compose.defect_table import run_table
    from bmsctl.errors import BmsctlError, RecipeError

    results: list[CaseResult] = []
    try:
        for result in run_table(pack, recipes, seeds, stations):
            if not results and not as_json:
                click.echo(f"{'station':<8}  {'case':<42}  {'expected':<42}  {'as expected':>11}")
            results.append(result)
            if not as_json:
                _print_case(result)
    except RecipeError as error:
        leave(USAGE, str(error))
    except BmsctlError as error:
        leave(STATION, str(error))
    wrong = [result for result in results if result.wrong]
    if as_json:
        table = {"pack": pack, "ok": not wrong, "cases": [_case(result) for result in results]}
        click.echo(json.dumps(table, ensure_ascii=False, indent=2))
    elif wrong:
        click.echo(f"{len(wrong)} of {len(results)} cases are not as expected", err=True)
    leave(FAILED if wrong else OK)


def _print_case(result: CaseResult) -> None:
    right = f"{result.seeds - len(result.wrong)}/{result.seeds}"
    click.echo(f"{result.case.station:<8}  {result.case.name:<42}  {result.expected:<42}  {right:>11}")
    for seed, found in result.wrong.items():
        click.echo(f"    seed {seed}: {found}")


def _case(result: CaseResult) -> dict[str, Any]:
    return {
        "case": result.case.name,
        "station": result.case.station,
        "scenario": result.case.scenario,
        "expected": [{"step": step, "verdict": verdict} for step, verdict in result.case.expected],
        "seeds": result.seeds,
        "wrong": [{"seed": seed, "found": found} for seed, found in result.wrong.items()],
    }


@click.command()
@click.option("--pack", default="AS52", show_default=True, help="Pack to test while the station is disturbed.")
@click.option("--faults", default="all", show_default=True, help="Names or catalogue numbers, commas between.")
@click.option("--seeds", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Packs for each case.")
@click.option("--list", "only_list", is_flag=True, help="List the cases and run none.")
@stations_option
@recipes_option
@json_option
def campaign(
    pack: str, faults: str, seeds: int, only_list: bool, stations: int, recipes: Path | None, as_json: bool
) -> None:
    """Disturb the station by every fault in the steps where it matters, and compare with what must come of it."""
    from bmsctl.compose.fault_campaign import chosen_cases, run_campaign
    from bmsctl.errors import BmsctlError, RecipeError, ScenarioError

    results: list[FaultResult] = []
    try:
        cases = chosen_cases(pack, recipes, faults)
        if only_list:
            _print_faults(cases, as_json)
            leave(OK)
        for result in run_campaign(cases, pack, recipes, seeds, stations):
            if not results and not as_json:
                click.echo(f"{'id':<4}  {'case':<52}  {'expected':<8}  {'as expected':>11}")
            results.append(result)
            if not as_json:
                _print_fault(result)
    except (RecipeError, ScenarioError) as error:
        leave(USAGE, str(error))
    except BmsctlError as error:
        leave(STATION, str(error))
    wrong = [result for result in results if result.wrong]
    if as_json:
        table = {"pack": pack, "ok": not wrong, "cases": [_fault_result(result) for result in results]}
        click.echo(json.dumps(table, ensure_ascii=False, indent=2))
    elif wrong:
        click.echo(f"{len(wrong)} of {len(results)} cases are not as expected", err=True)
    leave(FAILED if wrong else OK)


def _print_faults(cases: Sequence[FaultCase], as_json: bool) -> None:
    from bmsctl.cli.tables import print_table

    if as_json:
        click.echo(json.dumps([_fault(case) for case in cases], ensure_ascii=False, indent=2))
        return
    rows = [(case.catalogue_id, case.kind, case.target, case.begins_in, case.verdict) for case in cases]
    print_table(("id", "fault", "target", "step", "expected"), rows)


def _print_fault(result: FaultResult) -> None:
    case = result.case
    right = f"{result.seeds - len(result.wrong)}/{result.seeds}"
    click.echo(f"{case.catalogue_id:<4}  {case.name:<52}  {case.verdict:<8}  {right:>11}")
    for seed, found in result.wrong.items():
        click.echo(f"    seed {seed}: {found}")


def _fault(case: FaultCase) -> dict[str, Any]:
    return {
        "id": case.catalogue_id,
        "fault": case.kind,
        "target": case.target,
        "step": case.begins_in,
        "scenario": case.scenario,
        "expected": case.verdict,
    }


def _fault_result(result: FaultResult) -> dict[str, Any]:
    wrong = [{"seed": seed, "found": found} for seed, found in result.wrong.items()]
    return {**_fault(result.case), "seeds": result.seeds, "wrong": wrong}
