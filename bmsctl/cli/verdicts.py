"""How a verdict looks: the word is always there, the colour only on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

import click

COLOURS: Mapping[str | None, str] = {"PASS": "green", "FAIL": "red", "INVALID": "yellow", "ABORTED": "magenta"}
WIDTH = 8


def coloured(verdict: str | None) -> str:
    """The verdict, padded to a column; `click.echo` takes the colour out where it does not belong."""
    return in_colour(f"{verdict or '-':<{WIDTH}}")


def in_colour(cell: str) -> str:
    """A cell of a table, coloured if what it holds is a verdict."""
    word = cell.strip()
    return click.style(cell, fg=COLOURS[word], bold=word != "PASS") if word in COLOURS else cell
