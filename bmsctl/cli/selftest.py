"""`bmsctl selftest`: a station tests itself, and its safety PLC first of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bmsctl.cli.exits import INTERRUPTED, OK, STATION, USAGE, leave
from bmsctl.cli.options import json_option, recipes_option, store_option

RESET_HINT = "the dead-man was proved by a trip: press the PLC's reset button before the first pack"


@click.command()
@click.option("--world", default="hardware", show_default=True, help="World the station is in: hardware, hil or sim.")
@click.option(
    "--station",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="BMSCTL_STATION",
    help="Which device is on which port, as TOML.",
)
@click.option("--pack", default="AS52", show_default=True, help="Pack type the station is set up for.")
@store_option
@recipes_option
@json_option
def selftest(world: str, station: Path | None, pack: str, store: Path, recipes: Path | None, as_json: bool) -> None:
    """Test instruments, safe stop and dead-man, and store the record."""
    from bmsctl.cli.progress import progress
    from bmsctl.cli.record_view import print_record
    from bmsctl.compose.selftest import selftest_in
    from bmsctl.errors import BmsctlError, RecipeError, ScenarioError, StationFileError

    try:
        with progress() as watch:
            result = selftest_in(world, station=station, recipes=recipes, store=store, pack=pack, watch=watch)
    except (RecipeError, ScenarioError, StationFileError) as error:
        leave(USAGE, str(error))
    except BmsctlError as error:
        leave(STATION, str(error))
    print_record(result.record, as_json=as_json)
    if _tripped(result.record):
        click.echo(RESET_HINT, err=True)
    if result.interrupted:
        leave(INTERRUPTED)
    good = result.record["verdict"] == "PASS" and not result.findings
    leave(OK if good else STATION, "\n".join(result.findings))


def _tripped(record: Mapping[str, Any]) -> bool:
    """Whether the dead-man test was begun."""
    return any(step["name"] == "dead_man" and step["measurements"] for step in record["steps"])
