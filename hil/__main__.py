"""`python -m hil`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from bmsctl.cli.exits import INTERRUPTED, STATION, USAGE
from bmsctl.cli.signals import ignore, listen
from bmsctl.cli.streams import output_error, protect
from hil.cli import cli


def run() -> NoReturn:
    """Run a command and end the process, even if a thread hangs in a driver's C code."""
    code = INTERRUPTED
    try:
        listen()
        protect()
        code = _run()
        ignore()
    except KeyboardInterrupt:
        ignore()
    if output_error() is not None:
        code = STATION
    sys.stderr.flush()
    os._exit(code)


def _run() -> int:
    try:
        code = cli.main(prog_name="python -m hil", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show(sys.stderr)
        return USAGE
    except Exception as error:
        if os.environ.get("BMSCTL_DEBUG"):
            raise
        click.echo(f"hil: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("Run it again with BMSCTL_DEBUG=1 and report it.", err=True)
        return STATION
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    run()
