"""Tables on stdout: aligned plain text, in colour on a terminal. Nothing is ever cut off."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bmsctl.cli.verdicts import in_colour


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their column names; None shows as a dash."""
    table = [list(columns), *(["-" if value is None else str(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
    for row in table:
        cells = (in_colour(cell.ljust(width)) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
