"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

recipes_option = click.option(
    "--recipes",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="BMSCTL_RECIPES",
    help="Folder of recipes to use instead of the installed ones.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
