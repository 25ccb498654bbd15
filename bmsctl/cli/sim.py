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
from bmsctl.cli.sim_many import SEED_MAX, campaign, day, defects

EXIT_OF_VERDICT = {"PASS": OK, "FAIL": FAILED, "INVALID": STATION, "ABORTED": STATION}


@click.group()
def sim() -> None:
    """Run packs through a simulated station."""


sim.add_command(day)
sim.add_command(defects)
sim.add_command(campaign)


@sim.command()
@click.option("--pack", required=True, help="Pack to build and test, e.g. AS52.")
@click.option("--station", type=click.Choice(["eol"]), default="eol", show_default=True)
@click.option("--seed", type=click.IntRange(0, SEED_MAX), required=True, help="Everything drawn derives from it.")
@click.option("--scenario", type=click.Path(dir_okay=False, path_type=Path), help="What is wrong, as TOML.")
@click.option("--retest", metavar="CAUSE", help="Why the pack is tested again.")
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
    store: Path | None,
    recipes: Path | None,
    as_json: bool,
) -> None:
    """Test one pack and print its record."""
    from bmsctl.cli.progress import progress
    from bmsctl.cli.record_view import print_record
    from bmsctl.compose.reports import write_report
    from bmsctl.compose.simulation import simulate_one
    from bmsctl.errors import BmsctlError, RecipeError, Refused, ScenarioError, StoreError

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
            )
    except (ScenarioError, RecipeError) as error:
        leave(USAGE, str(error))
    except Refused as error:
        leave(REFUSED, str(error))
    except BmsctlError as error:
        leave(STATION, str(error))
    if result.record is not None:
        print_record(result.record, as_json=as_json)
        try:
            click.echo(f"report: {write_report(store, result.record['record_id'], recipes)}", err=True)
        except StoreError as error:
            click.echo(f"bmsctl: {error}", err=True)
    leave(_exit_code(result.record, result.findings, result.interrupted), "\n".join(result.findings))


def _exit_code(record: Mapping[str, Any] | None, findings: list[str], interrupted: bool) -> int:
    if interrupted:
        return INTERRUPTED
    if record is None or findings:
        return STATION
    return EXIT_OF_VERDICT[record["verdict"]]
