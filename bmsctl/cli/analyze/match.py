"""`bmsctl analyze match`: which modules go together in packs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import USAGE, leave
from bmsctl.cli.options import json_option
from bmsctl.cli.tables import print_table

if TYPE_CHECKING:
    from bmsctl.analysis.matching.modules import F64, Matching

COLUMNS = ("serial", "capacity_ah", "dcir_ohm")
WINDOW = click.FloatRange(min=0.0)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--group", type=click.IntRange(2), metavar="N", required=True, help="Modules of a pack.")
@click.option(
    "--capacity-window", type=WINDOW, metavar="SHARE", help="Greatest range over median of capacities in a pack."
)
@click.option(
    "--dcir-window", type=WINDOW, metavar="SHARE", help="Greatest range over median of resistances in a pack."
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the packs, as .svg or .png.")
@json_option
def match(
    file: Path,
    group: int,
    capacity_window: float | None,
    dcir_window: float | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Put the modules in FILE, a CSV file, together in packs.

    Its columns are serial, capacity_ah and dcir_ohm. Without a window as many packs as there are modules for, alike
    within each pack; with windows as many packs as possible that keep them. 0.01 is 1 %.
    """
    from bmsctl.errors import BmsctlError

    try:
        _match(file, group, (capacity_window, dcir_window), plot, as_json)
    except BmsctlError as error:
        leave(USAGE, str(error))


def _match(file: Path, group: int, shares: tuple[float | None, float | None], plot: Path | None, as_json: bool) -> None:
    from math import inf, isnan

    serials, capacity_ah, dcir_ohm = read_modules(file, group)
    windowed = shares != (None, None)
    if any(share is not None and isnan(share) for share in shares):
        raise click.UsageError("a window is nan, which is no share; give 0.01 for 1 %")
    if windowed:
        from bmsctl.analysis.matching.most_packs import match_windows
        from bmsctl.analysis.matching.windows import Windows

        windows = Windows(*(inf if share is None else share for share in shares))
        found = match_windows(capacity_ah, dcir_ohm, group, windows)
    else:
        from bmsctl.analysis.matching.least_spread import match_all

        found = match_all(capacity_ah, dcir_ohm, group)
    if plot is not None:
        draw(plot, capacity_ah, dcir_ohm, found)
    if as_json:
        click.echo(json.dumps(_told(serials, found, windowed)))
    else:
        _print(serials, capacity_ah, dcir_ohm, found, windowed)


def read_modules(path: Path, group: int) -> tuple[Sequence[str], F64, F64]:
    """Serials, capacities and resistances of the modules in a CSV file.

    Raises:
        BmsctlError: unreadable, a serial that is empty or there twice, a value that is none, or too few modules.
    """
    from math import inf

    import numpy as np

    from bmsctl.analysis.tables import TableError, read_table

    table = read_table(path, COLUMNS)
    serials, values = table.columns["serial"], {column: table.numbers(column) for column in COLUMNS[1:]}
    first: dict[str, int] = {}
    for i, line in enumerate(table.lines):
        if not serials[i]:
            raise table.error(line, "serial", "is empty; give each module its serial")
        if serials[i] in first:
            raise table.error(line, "serial", f"{serials[i]} stands in line {first[serials[i]]}, too; keep one")
        first[serials[i]] = line
        for column, numbers in values.items():
            if not 0.0 < numbers[i] < inf:
                raise table.error(line, column, f"{numbers[i]:g} is no value of a module; it must be above 0")
    if len(serials) < group:
        raise TableError(f"{path}: has {len(serials)} modules, a pack needs {group}; add modules or lower --group")
    return serials, np.array(values["capacity_ah"]), np.array(values["dcir_ohm"])


def draw(path: Path, capacity_ah: F64, dcir_ohm: F64, found: Matching) -> None:
    """Resistance over capacity, the modules of a pack in one colour and joined to their mean."""
    import numpy as np

    from bmsctl.report.figures import figure

    with figure(path) as drawing:
        axes = drawing.add_subplot()
        for number, pack in enumerate(found.packs):
            x, y, colour = capacity_ah[pack], dcir_ohm[pack] * 1e3, f"C{number % 10}"
            centre = (np.full(len(pack), np.mean(x)), np.full(len(pack), np.mean(y)))
            axes.plot([x, centre[0]], [y, centre[1]], color=colour, linewidth=0.8)
            axes.plot(x, y, "o", color=colour, markersize=4)
        left_over = found.left_over
        axes.plot(capacity_ah[left_over], dcir_ohm[left_over] * 1e3, "x", color="grey", label="left over")
        if len(left_over):
            axes.legend(loc="best")
        axes.set_xlabel("capacity in Ah")
        axes.set_ylabel("resistance in mOhm")
        axes.set_title(f"{len(found.packs)} packs, {len(left_over)} modules left over")


def _told(serials: Sequence[str], found: Matching, windowed: bool) -> dict[str, object]:
    """What --json prints."""
    return {
        "packs": [[serials[module] for module in pack] for pack in found.packs],
        "left_over": [serials[module] for module in found.left_over],
        "bound": int(found.bound) if windowed else found.bound,
        "spread": found.spread if len(found.packs) else None,
    }


def _print(serials: Sequence[str], capacity_ah: F64, dcir_ohm: F64, found: Matching, windowed: bool) -> None:
    rows = [
        (
            number,
            f"{_range(capacity_ah[pack]):.3%}",
            f"{_range(dcir_ohm[pack]):.3%}",
            " ".join(serials[module] for module in pack),
        )
        for number, pack in enumerate(found.packs, 1)
    ]
    print_table(("pack", "capacity range", "resistance range", "modules"), rows)
    click.echo(f"\nleft over: {' '.join(serials[module] for module in found.left_over) or 'none'}")
    if windowed:
        click.echo(f"{len(found.packs)} packs; more than {found.bound:.0f} are impossible")
    else:
        click.echo(f"spread {found.spread:.4f}; less than {found.bound:.4f} is impossible")


def _range(values: F64) -> float:
    """Range over median."""
    import numpy as np

    return float(np.ptp(values) / np.median(values))
