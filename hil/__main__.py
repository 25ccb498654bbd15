"""`python -m hil`."""

from __future__ import annotations

from typing import NoReturn

from bmsctl.cli.process import run_command
from hil.cli import cli


def run() -> NoReturn:
    """Run a command of the bench."""
    run_command(cli, "hil", "python -m hil")


if __name__ == "__main__":
    run()
