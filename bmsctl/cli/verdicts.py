"""How a verdict looks: the word is always there, the colour only on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

import click

COLOURS: Mapping[str | None, str] = {"PASS": "green", "FAIL": "red", "INVALID": "yellow", "ABORTED": "magenta"}
WIDTH = 8


def coloured(verdict: str | None) -> str:
    """The verdict, padded to a column; `click.echo` takes the colour out where it does not belong."""
    padded = f"{verdict or '-':<{WIDTH}}"
    word = padded.strip()
    return click.style(padded, fg=COLOURS[word], bold=word != "PASS") if word in COLOURS else padded
