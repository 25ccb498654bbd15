"""Progress of a run on stderr, and only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from bmsctl.cli.verdicts import coloured
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import StationWatch


class TerminalWatch(StationWatch):
    """A bar for the run and a line for every finished step."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task

    def step_started(self, step: str, index: int, total: int) -> None:
        self._bar.update(self._task, description=step, completed=index, total=total)

    def step_finished(self, step: str, verdict: Verdict, reason: str) -> None:
        self._bar.console.print(Text.from_ansi(f"{coloured(verdict)} {step:<18}"), reason, markup=False)
        self._bar.advance(self._task)

    def notice(self, text: str) -> None:
        self._bar.console.print(text, markup=False)

    def verdict_shown(self, record_id: str, verdict: Verdict, head_sha256: str) -> None:
        self._bar.update(self._task, description="done")


class QuietWatch(StationWatch):
    """Notices only."""

    def notice(self, text: str) -> None:
        click.echo(f"bmsctl: {text}", err=True)


@contextmanager
def progress() -> Iterator[StationWatch]:
    """A watch for a person at a terminal; on a pipe, one that passes on notices only."""
    if not sys.stderr.isatty():
        yield QuietWatch()
        return
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description:<18}"), BarColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield TerminalWatch(bar, bar.add_task("starting", total=None))
