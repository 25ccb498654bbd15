"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


class StorePath(click.Path):
    """A folder that the store itself will check; only an empty name is a usage error."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("is empty; name a folder", param, ctx)
        return super().convert(value, param, ctx)


recipes_option = click.option(
    "--recipes",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="BMSCTL_RECIPES",
    help="Folder of recipes to use instead of the installed ones.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


attempt_option = click.option(
    "--attempt", type=click.IntRange(1), help="Which attempt of the pack; by default the newest."
)

station_option = click.option(
    "--station", type=click.Choice(("stacking", "eol")), help="At which station; by default where the pack was last."
)


def told_as(key: str, attempt: int | None, station: str | None) -> str:
    """What a person asked for by an id or serial and these options."""
    which = "" if attempt is None else f", attempt {attempt}"
    return f"{key}{which}" if station is None else f"{key}{which} at {station}"


def default_store() -> Path:
    """The station's own store, in the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "bmsctl"


store_option = click.option(
    "--store",
    type=StorePath(),
    envvar="BMSCTL_STORE",
    default=default_store,
    help="Folder of the store; by default the station's own.",
)
