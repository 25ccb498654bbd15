"""The `bmsctl` command. Subcommands are imported when called, never for `--help` or `--version`."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NoReturn

import click

from bmsctl import __version__
from bmsctl.cli.exits import INTERRUPTED, STATION, USAGE
from bmsctl.cli.signals import ignore, listen
from bmsctl.cli.streams import output_error, protect

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
    code = INTERRUPTED
    try:
        listen()
        protect()
        code = _run()
        ignore()
    except KeyboardInterrupt:
        ignore()
    error = output_error()
    if error is not None:
        click.echo(f"bmsctl: stdout cannot be written: {error}; what was recorded is safe", err=True)
        code = STATION
    sys.stderr.flush()
    os._exit(code)  # A thread that hangs in a driver must not keep the process of a safe station.


def _run() -> int:
    try:
        code = cli.main(prog_name="bmsctl", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show(sys.stderr)
        return USAGE
    except Exception as error:
        if os.environ.get("BMSCTL_DEBUG"):
            raise
        click.echo(f"bmsctl: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("Nothing that was recorded is lost. Run it again with BMSCTL_DEBUG=1 and report it.", err=True)
        return STATION
    return code if isinstance(code, int) else 0
