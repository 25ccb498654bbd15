"""`python -m hil`: the bench."""

from __future__ import annotations

import gc
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import FAILED, INTERRUPTED, OK, REFUSED, STATION, USAGE, leave
from bmsctl.cli.inputs import read_toml
from bmsctl.cli.options import StorePath, json_option, recipes_option
from bmsctl.cli.signals import ignore
from bmsctl.cli.sim import EXIT_OF_VERDICT
from bmsctl.cli.sim_many import SEED_MAX

if TYPE_CHECKING:
    from bmsctl.domain.recipe import Recipe
    from hil.bench import Bench
    from hil.runs import HilResult

LOOK_S = 1.0

folder_option = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="BMSCTL_BENCH",
    help="Folder of the bench; by default the user's own.",
)
bench_option = click.option(
    "--bench",
    "bench_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path(__file__).with_name("bench.toml"),
    help="Which stubs are replaced by real devices, as TOML.",
)
can_option = click.option(
    "--can",
    type=click.Choice(["auto", "vcan", "bench"]),
    default="auto",
    show_default=True,
    help="The kernel's vcan0 and vcan1, or buses of the bench's own; auto: vcan where it is set up.",
)


dwell_option = click.option(
    "--dwell-factor",
    type=click.FloatRange(1.0, 10.0),
    default=1.0,
    show_default=True,
    help="Divides the recipe's dwell times, never a pulse, a charge or a deadline; the record tells.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A bench: stubs behind real wires in a process of their own."""


@cli.command()
@folder_option
@bench_option
@can_option
def up(folder: Path | None, bench_file: Path, can: str) -> None:
    """Start the bench and keep it up until Ctrl-C."""
    from bmsctl.errors import BmsctlError
    from hil.bench import bench_up
    from hil.layout import default_folder

    try:
        with bench_up(folder or default_folder(), bench_file, can) as bench:
            _print_wiring(bench)
            leave(STATION, _watch(bench))
    except BmsctlError as error:
        leave(STATION, str(error))


def _print_wiring(bench: Bench) -> None:
    from bmsctl.cli.tables import print_table

    rows = [(wire.device, wire.wire, wire.where, "stub" if wire.stub else "real") for wire in bench.layout.wiring()]
    print_table(("device", "wire", "where", "is"), rows)
    click.echo(f"station file: {bench.layout.station_file}")


def _watch(bench: Bench) -> str:
    """Show the traffic; why the bench has ended, when it does by itself."""
    from hil.traffic_view import traffic_view

    with traffic_view(sys.stderr.isatty()) as show:
        while (failed := bench.failed(LOOK_S)) is None:
            show(bench.layout.control)
        return failed


@cli.command()
@click.option("--pack", default="AS52", show_default=True, help="Pack to build and test.")
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=0, show_default=True, help="Of everything drawn.")
@click.option("--scenario", type=click.Path(dir_okay=False, path_type=Path), help="What is wrong, as TOML.")
@click.option("--retest", metavar="CAUSE", help="Why the pack is tested again.")
@click.option("--store", type=StorePath(), envvar="BMSCTL_STORE", help="Folder of the store; by default a new one.")
@dwell_option
@folder_option
@recipes_option
@json_option
def run(
    pack: str,
    seed: int,
    scenario: Path | None,
    retest: str | None,
    store: Path | None,
    dwell_factor: float,
    folder: Path | None,
    recipes: Path | None,
    as_json: bool,
) -> None:
    """Test one pack in real time on the bench that is up, or on one of its own, and print its record."""
    from bmsctl.cli.progress import progress
    from bmsctl.cli.record_view import print_record
    from bmsctl.errors import BmsctlError, RecipeError, Refused, ScenarioError
    from hil.bench import a_bench, prefer_this_process
    from hil.runs import run_on_bench

    text = None if scenario is None else read_toml(scenario, "scenario")
    if store is None:
        store = Path(tempfile.mkdtemp(prefix="bmsctl-"))
        click.echo(f"store: {store}", err=True)
    try:
        recipe = _recipe(pack, recipes, dwell_factor)
        prefer_this_process()
        with a_bench(folder) as bench, progress() as watch:
            gc.freeze()
            result = run_on_bench(
                bench,
                recipe,
                seed=seed,
                scenario=text,
                scenario_file=str(scenario or ""),
                store=store,
                retest_cause=retest,
                watch=watch,
            )
            if result.interrupted:
                ignore()  # It ends anyway, and its record is still to be shown.
    except (ScenarioError, RecipeError) as error:
        leave(USAGE, str(error))
    except Refused as error:
        leave(REFUSED, str(error))
    except BmsctlError as error:
        leave(STATION, str(error))
    if result.record is not None:
        print_record(result.record, as_json=as_json)
    leave(_exit_code(result), "\n".join([*result.findings, *filter(None, [result.contention])]))


@cli.command()
@click.option("--pack", default="AS52", show_default=True, help="Pack to build and test.")
@click.option("--faults", default="all", show_default=True, help="Names or numbers of faults, with commas between.")
@click.option("--seeds", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Packs for each fault.")
@click.option("--list", "only_list", is_flag=True, help="Only tell which there are.")
@dwell_option
@folder_option
@recipes_option
@json_option
def campaign(
    pack: str,
    faults: str,
    seeds: int,
    only_list: bool,
    dwell_factor: float,
    folder: Path | None,
    recipes: Path | None,
    as_json: bool,
) -> None:
    """Run the station's faults, each in the first step that rests on its device, and compare the verdicts."""
    from bmsctl.compose.fault_campaign import chosen
    from bmsctl.errors import BmsctlError, RecipeError, ScenarioError
    from hil.bench import a_bench, prefer_this_process
    from hil.campaign import bench_cases, run_campaign
    from hil.campaign_view import print_faults, print_result, print_summary

    results = []
    try:
        recipe = _recipe(pack, recipes, dwell_factor)
        wanted = chosen(bench_cases(recipe), faults)
        if only_list:
            print_faults(wanted, as_json=as_json)
            return
        prefer_this_process()
        with a_bench(folder) as bench:
            for result in run_campaign(bench, recipe, wanted, seeds):
                results.append(result)
                if not as_json:
                    print_result(result)
    except (RecipeError, ScenarioError) as error:
        leave(USAGE, str(error))
    except BmsctlError as error:
        leave(STATION, str(error))
    print_summary(results, as_json=as_json)
    if any(result.verdict is None for result in results):
        leave(STATION)
    leave(FAILED if any(result.wrong for result in results) else OK)


def _recipe(pack: str, recipes: Path | None, dwell_factor: float) -> Recipe:
    from bmsctl.compose.recipes import RecipeBook
    from bmsctl.drivers.links.clock import SystemClock
    from hil.dwell import shortened

    today = datetime.fromtimestamp(SystemClock().utc().unix_s, UTC).date()
    return shortened(RecipeBook(recipes).by_pack(pack, today), dwell_factor)


def _exit_code(result: HilResult) -> int:
    if result.interrupted:
        return INTERRUPTED
    if result.record is None or result.findings:
        return STATION
    return EXIT_OF_VERDICT[result.record["verdict"]]
