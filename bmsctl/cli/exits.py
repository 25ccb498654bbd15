"""Exit codes, and the one way to end with an error: what happened, where, what to do now."""

from __future__ import annotations

from typing import NoReturn

import click

OK = 0
FAILED = 1
USAGE = 2
STATION = 3
REFUSED = 4
INTERRUPTED = 130


def leave(code: int, message: str = "") -> NoReturn:
    """End with `code`; a message goes to stderr."""
    if message:
        click.echo(f"bmsctl: {message}", err=True)
    raise click.exceptions.Exit(code)
