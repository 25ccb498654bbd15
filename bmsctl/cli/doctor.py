"""`bmsctl doctor`: is this computer fit to run a station?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import OK, STATION, USAGE, leave
from bmsctl.cli.options import json_option, store_option

if TYPE_CHECKING:
    from bmsctl.compose.check import Check

COLOURS = {"good": "green", "warn": "yellow", "bad": "bold red"}


@click.command()
@click.option(
    "--station",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="BMSCTL_STATION",
    help="Which device is on which port, as TOML; without it only the computer is checked.",
)
@store_option
@json_option
def doctor(station: Path | None, store: Path, as_json: bool) -> None:
    """Check software, drivers, ports, permissions, clock and disk, and say what to do."""
    from bmsctl.compose.check import State
    from bmsctl.compose.doctor import examine
    from bmsctl.compose.station_file import read_station
    from bmsctl.errors import StationFileError

    try:
        wiring = None if station is None else read_station(station)
    except StationFileError as error:
        leave(USAGE, str(error))
    checks = list(examine(wiring, store))
    ok = all(check.state is not State.BAD for check in checks)
    if as_json:
        table = {"ok": ok, "checks": [asdict(check) for check in checks]}
        click.echo(json.dumps(table, ensure_ascii=False, indent=2))
    else:
        _print(checks)
    leave(OK if ok else STATION)


def _print(checks: Sequence[Check]) -> None:
    """A table as wide as the terminal; on a pipe as wide as it needs."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("state", no_wrap=True)
    table.add_column("check", overflow="fold")
    table.add_column("seen", overflow="fold", ratio=1)
    table.add_column("what to do", overflow="fold", ratio=1)
    for check in checks:
        state = Text(check.state.value, style=COLOURS[check.state.value])
        table.add_row(state, Text(check.name), Text(check.seen), Text(check.remedy))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(console.measure(table).maximum, console.width))
    console.print(table)
