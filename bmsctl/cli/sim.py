"""`bmsctl sim`: packs through a simulated station."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bmsctl.cli.exits import FAILED, INTERRUPTED, OK, REFUSED, STATION, USAGE, leave
from bmsctl.cli.inputs import read_toml
from bmsctl.cli.options import StorePath, json_option, recipes_option
from bmsctl.cli.sim_many import SEED_MAX, STATIONS, campaign, day, defects

EXIT_OF_VERDICT = {"PASS": OK, "FAIL": FAILED, "INVALID": STATION, "ABORTED": STATION}


@click.group()
def sim() -> None:
    """Run packs through a simulated station."""


sim.add_command(day)
sim.add_command(defects)
sim.add_command(campaign)


@sim.command()
@click.option("--pack", required=True, help="Pack to build and test, e.g. AS52.")
@click.option("--station", type=click.Choice(STATIONS), default="eol", show_default=True, help="Where it is run.")
@click.option("--seed", type=click.IntRange(0, SEED_MAX), required=True, help="Everything drawn derives from it.")
@click.option("--scenario", type=click.Path(dir_okay=False, path_type=Path), help="What is wrong, as TOML.")
@click.option("--retest", metavar="CAUSE", help="Why the pack is built or tested again.")
@click.option(
    "--replace",
    "replaced",
    metavar="PART",
    multiple=True,
    help='A part that is replaced at stacking, as "module 2" or "bolt m2.1"; with --retest.',
)
@click.option(
    "--store",
    type=StorePath(),
    envvar="BMSCTL_STORE",
    help="Folder of the store; by default a new one.",
)
@recipes_option
@json_option
def run(
    pack: str,
    station: str,
    seed: int,
    scenario: Path | None,
    retest: str | None,
    replaced: tuple[str, ...],
    store: Path | None,
    recipes: Path | None,
    as_json: bool,
) -> None:
    """Build or test one pack and print its record; of both stations, an array with --json."""
    from bmsctl.cli.progress import progress
    from bmsctl.cli.record_view import print_record, print_records
    from bmsctl.compose.reports import write_report
    from bmsctl.compose.simulation import BOTH, simulate_one
    from bmsctl.errors import BmsctlError, RecipeError, Refused, ScenarioError, StoreError

    _check_replaced(replaced, station, retest)
    text = None if scenario is None else read_toml(scenario, "scenario")
    if store is None:
        store = Path(tempfile.mkdtemp(prefix="bmsctl-"))
        click.echo(f"store: {store}", err=True)
    gc.freeze()
    try:
        with progress() as watch:
            result = simulate_one(
                pack=pack,
                recipes=recipes,
                seed=seed,
                scenario=text,
                scenario_file=str(scenario or ""),
                store=store,
                retest_cause=retest,
                watch=watch,
                station=station,
                replaced=replaced,
            )
    except (ScenarioError, RecipeError) as error:
        leave(USAGE, str(error))
    except Refused as error:
        leave(REFUSED, str(error))
    except BmsctlError as error:
        leave(STATION, str(error))
    if station == BOTH:
        print_records(result.records, as_json=as_json)
    elif result.record is not None:
        print_record(result.record, as_json=as_json)
    written = [record["record_id"] for record in result.records]
    for record_id in written:
        try:
            click.echo(f"report: {write_report(store, record_id, recipes, written)}", err=True)
        except StoreError as error:
            click.echo(f"bmsctl: {error}", err=True)
    leave(_exit_code(result.record, result.findings, result.interrupted), "\n".join(result.findings))


def _check_replaced(replaced: tuple[str, ...], station: str, retest: str | None) -> None:
    from bmsctl.domain.parts import require_slot

    if replaced and (station == "eol" or not (retest or "").strip()):
        leave(USAGE, "--replace is for a pack that is built again: give --station stacking and --retest CAUSE, too")
    for slot in replaced:
        try:
            require_slot(slot)
        except ValueError as error:
            leave(USAGE, f"--replace: {error}")


def _exit_code(record: Mapping[str, Any] | None, findings: list[str], interrupted: bool) -> int:
    if interrupted:
        return INTERRUPTED
    if record is None or findings:
        return STATION
    return EXIT_OF_VERDICT[record["verdict"]]
