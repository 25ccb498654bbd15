"""A command's process from its first signal to its exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from bmsctl.cli.exits import INTERRUPTED, STATION, USAGE
from bmsctl.cli.signals import ignore, listen
from bmsctl.cli.streams import output_error, protect


def run_command(command: click.Command, name: str, shown: str) -> NoReturn:
    """Run a command line and end the process, even if a thread hangs in a driver.

    Args:
        name: how the program calls itself in messages; `shown`: how its user calls it.
    """
    code = INTERRUPTED
    try:
        listen()
        protect()
        code = _code(command, name, shown)
        ignore()
    except KeyboardInterrupt:
        ignore()
    error = output_error()
    if error is not None:
        click.echo(f"{name}: stdout cannot be written: {error}; what was recorded is safe", err=True)
        code = STATION
    sys.stderr.flush()
    os._exit(code)


def _code(command: click.Command, name: str, shown: str) -> int:
    try:
        code = command.main(prog_name=shown, standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show(sys.stderr)
        return USAGE
    except Exception as error:
        if os.environ.get("BMSCTL_DEBUG"):
            raise
        click.echo(f"{name}: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("Nothing that was recorded is lost. Run it again with BMSCTL_DEBUG=1 and report it.", err=True)
        return STATION
    return code if isinstance(code, int) else 0
