"""The bench's traffic on stderr: a table that changes on a terminal, else a line now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from hil.control import BenchError, Control
from hil.traffic import Rate, TrafficMeter, line

LINE_EVERY = 10
"""Looks from one line to the next."""

Show = Callable[[Path], None]


@contextmanager
def traffic_view(terminal: bool) -> Iterator[Show]:
    """A function that reads the counters of a bench by its control socket, and shows them."""
    meter = TrafficMeter()
    if terminal:
        with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
            yield lambda control: live.update(_table(_rates(meter, control)), refresh=True)
        return
    looks = 0

    def show(control: Path) -> None:
        nonlocal looks
        if looks % LINE_EVERY == 0:
            click.echo(line(_rates(meter, control)), err=True)
        looks += 1

    yield show


def _rates(meter: TrafficMeter, control: Path) -> list[Rate]:
    """None while the bench changes packs, and answers a moment later."""
    try:
        with Control(control) as bench:
            traffic = bench.ask("traffic")
            return meter.rates(traffic["wires"], traffic["t_s"])
    except BenchError:
        return []


def _table(rates: list[Rate]) -> Table:
    table = Table("wire", "unit", box=None)
    for column in ("to station", "from station", "lost"):
        table.add_column(column, justify="right")
    for rate in rates:
        lost = str(rate.lost) if rate.lost else "-"
        table.add_row(rate.wire, f"{rate.unit}/s", f"{rate.sent_per_s:.0f}", f"{rate.heard_per_s:.0f}", lost)
    if not rates:
        table.add_row("no pack on the bench", "", "", "", "")
    return table
