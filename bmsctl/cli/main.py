"""The `bmsctl` command. Subcommands are imported when called, never for `--help` or `--version`."""

from __future__ import annotations

from importlib import import_module
from typing import NoReturn

import click

from bmsctl import __version__
from bmsctl.cli.process import run_command

COMMANDS: dict[str, tuple[str, str]] = {
    "sim": ("bmsctl.cli.sim", "Run packs through a simulated station."),
    "recipe": ("bmsctl.cli.recipe", "Check and show recipes."),
    "records": ("bmsctl.cli.records", "List, show, report and verify stored records."),
    "selftest": ("bmsctl.cli.selftest", "Let a station test itself, its safety PLC first of all."),
    "doctor": ("bmsctl.cli.doctor", "Check the computer, its drivers and ports."),
    "explain": ("bmsctl.cli.explain", "Say in words what decided a record."),
}
"""Name to module and help; the module's click command carries the command's name."""


class LazyGroup(click.Group):
    """Knows its commands by COMMANDS alone until one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[name][0]), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Battery pack assembly and end-of-line test controller."""


def run() -> NoReturn:
    """Entry point of the installed script."""
    run_command(cli, "bmsctl", "bmsctl")
