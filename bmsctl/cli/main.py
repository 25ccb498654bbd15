"""The `bmsctl` command. Subcommands are imported when called, never for `--help` or `--version`."""

from __future__ import annotations

from typing import NoReturn

import click

from bmsctl import __version__
from bmsctl.cli.lazy import LazyGroup
from bmsctl.cli.process import run_command

COMMANDS: dict[str, tuple[str, str]] = {
    "sim": ("bmsctl.cli.sim", "Run packs through a simulated station."),
    "recipe": ("bmsctl.cli.recipe", "Check, show, compare and sign recipes."),
    "people": ("bmsctl.cli.people", "Who may use the station, and what they may do."),
    "records": ("bmsctl.cli.records", "List, show, report and verify stored records."),
    "analyze": ("bmsctl.cli.analyze", "Compute on files: insulation, balancing, matching, statistics."),
    "selftest": ("bmsctl.cli.selftest", "Let a station test itself, its safety PLC first of all."),
    "doctor": ("bmsctl.cli.doctor", "Check the computer, its drivers and ports."),
    "explain": ("bmsctl.cli.explain", "Say in words what decided a record."),
}
"""Name to module and help; the module's click command carries the command's name."""


@click.group(cls=LazyGroup, commands_by_module=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Battery pack assembly and end-of-line test controller."""


def run() -> NoReturn:
    """Entry point of the installed script."""
    run_command(cli, "bmsctl", "bmsctl")
