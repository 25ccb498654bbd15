"""Tables on stdout: drawn on a terminal, aligned plain text on a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from bmsctl.cli.verdicts import COLOURS, coloured


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their column names; None shows as a dash."""
    cells = [["-" if value is None else str(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells)
        return
    table = [list(columns), *cells]
    widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    for row in cells:
        table.add_row(*(Text.from_ansi(coloured(cell)) if cell in COLOURS else Text(cell) for cell in row))
    Console().print(table)
