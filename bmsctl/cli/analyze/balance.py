"""`bmsctl analyze balance`: from the cells' SOC to the shortest bleeding plan of a pack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bmsctl.cli.exits import USAGE, leave
from bmsctl.cli.options import json_option
from bmsctl.cli.tables import print_table

if TYPE_CHECKING:
    from bmsctl.analysis.balancing.bleed import Cells, Target
    from bmsctl.analysis.balancing.ocv import Curve
    from bmsctl.analysis.balancing.plan import Plan

HOUR_S = 3600.0
TOP, LOWEST = "top", "min"
CELL_COLUMNS = ("cell", "chip", "capacity_ah", "soc", "bleed_ohm")
CURVE_COLUMNS = ("soc", "voltage_v")


class Pack(NamedTuple):
    """Rows of the cells' file: names, numbers, and where each chip's cells begin."""

    names: Sequence[int | str]
    chips: Sequence[str]
    cells: Cells
    chip_begins: Sequence[int]


def _target(ctx: click.Context, param: click.Parameter, value: str) -> float | str:
    """`top`, `min` or a SOC as a share."""
    if value in (TOP, LOWEST):
        return value
    try:
        soc = float(value)
    except ValueError:
        soc = -1.0
    if not 0.0 <= soc <= 1.0:
        raise click.BadParameter(f"{value!r} is neither top, min nor a SOC from 0 to 1", ctx, param)
    return soc


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--ocv",
    "ocv_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Open-circuit voltage over SOC, as CSV: soc, voltage_v, ascending.",
)
@click.option(
    "--max-per-chip",
    type=click.IntRange(1),
    metavar="K",
    help="How many cells of a chip may bleed at a time; by default all.",
)
@click.option("--no-adjacent", is_flag=True, help="No two neighbours of a chip may bleed at a time.")
@click.option(
    "--target",
    callback=_target,
    metavar="top|min|SOC",
    default=TOP,
    show_default=True,
    help="Cells are level when full, at the lowest SOC, or at a SOC; the string is charged to it where it is lower.",
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the plan, as .svg or .png.")
@json_option
def balance(
    file: Path,
    ocv_file: Path,
    max_per_chip: int | None,
    no_adjacent: bool,
    target: float | str,
    plot: Path | None,
    as_json: bool,
) -> None:
    """The shortest plan to balance the cells in FILE, a CSV file in series order.

    Its columns are cell, chip, capacity_ah, soc (a share from 0 to 1) and bleed_ohm.
    """
    from bmsctl.errors import BmsctlError

    try:
        _balance(file, ocv_file, max_per_chip, no_adjacent, target, plot, as_json)
    except BmsctlError as error:
        leave(USAGE, str(error))


def _balance(
    file: Path,
    ocv_file: Path,
    max_per_chip: int | None,
    no_adjacent: bool,
    target: float | str,
    plot: Path | None,
    as_json: bool,
) -> None:
    import numpy as np

    from bmsctl.analysis.balancing.bleed import bleed_to_level
    from bmsctl.analysis.balancing.plan import Rules, plan_pack

    curve = read_curve(ocv_file)
    pack = read_pack(file, curve)
    if isinstance(target, float):
        level_soc = target
    else:
        level_soc = 1.0 if target == TOP else float(np.min(pack.cells.soc))
    aim = bleed_to_level(curve, pack.cells, level_soc, pack.names)
    rules = Rules(max_per_chip or len(pack.names), no_adjacent)
    plan = plan_pack(aim.bleed_s, np.array(pack.chip_begins), rules)
    note = _note(curve, pack.cells, aim)
    if plot is not None:
        draw(plot, pack, plan)
    if as_json:
        click.echo(json.dumps(_told(pack, aim, plan, note)))
    else:
        _print(pack, aim, plan)
    if note:
        click.echo(f"note: {note}", err=True)


def read_curve(path: Path) -> Curve:
    """The open-circuit curve in a CSV file.

    Raises:
        BmsctlError: unreadable, or values that are none or out of order, with line and column.
    """
    from math import isfinite

    from bmsctl.analysis.balancing.ocv import ocv_curve
    from bmsctl.analysis.tables import read_table

    table = read_table(path, CURVE_COLUMNS)
    soc, voltage_v = (table.numbers(column) for column in CURVE_COLUMNS)
    for i, line in enumerate(table.lines):
        if not 0.0 <= soc[i] <= 1.0:
            raise table.error(line, "soc", f"{soc[i]:g} is no share from 0 to 1; write 50 % as 0.5")
        if i and not soc[i] > soc[i - 1]:
            raise table.error(line, "soc", f"{soc[i]:g} does not rise; sort the lines by soc, each once")
        if not (isfinite(voltage_v[i]) and voltage_v[i] > 0.0):
            raise table.error(line, "voltage_v", f"{voltage_v[i]:g} is no cell voltage; measure this point")
        if i and voltage_v[i] < voltage_v[i - 1]:
            raise table.error(line, "voltage_v", f"{voltage_v[i]:g} falls; an open-circuit voltage rises with the SOC")
    if len(soc) < 2:
        raise table.error(table.lines[0], "soc", "is the only point; a curve needs two")
    return ocv_curve(soc, voltage_v)


def read_pack(path: Path, curve: Curve) -> Pack:
    """The cells in a CSV file, checked against the curve.

    Raises:
        BmsctlError: unreadable, or values that are none or impossible, with line and column.
    """
    from math import inf

    import numpy as np

    from bmsctl.analysis.balancing.bleed import Cells
    from bmsctl.analysis.tables import read_table

    table = read_table(path, CELL_COLUMNS)
    capacity_ah, soc, bleed_ohm = (table.numbers(column) for column in CELL_COLUMNS[2:])
    for i, line in enumerate(table.lines):
        if not 0.0 < capacity_ah[i] < inf:
            raise table.error(line, "capacity_ah", f"{capacity_ah[i]:g} is no capacity; it must be above 0")
        if not 0.0 <= soc[i] <= 1.0:
            raise table.error(line, "soc", f"{soc[i]:g} is no share from 0 to 1; write 50 % as 0.5")
        if not curve.soc[0] <= soc[i] <= curve.soc[-1]:
            raise table.error(
                line,
                "soc",
                f"{soc[i]:g} is outside the open-circuit curve, {curve.soc[0]:g} to {curve.soc[-1]:g}; "
                "give a curve that covers it",
            )
        if not 0.0 < bleed_ohm[i] < inf:
            raise table.error(line, "bleed_ohm", f"{bleed_ohm[i]:g} is no resistor; it must be above 0")
    names = _names(table.columns["cell"])
    chips = table.columns["chip"]
    seen: set[int | str] = set()
    chip_begins: list[int] = []
    for i, line in enumerate(table.lines):
        name, before = names[i], names[i - 1]
        if name == "" or name in seen:
            raise table.error(line, "cell", f"{name or 'nothing'!r} names no cell of its own; name each cell once")
        if i and isinstance(name, int) and isinstance(before, int) and name < before:
            raise table.error(line, "cell", f"{name} comes after {before}; put the lines in series order")
        if i == 0 or chips[i] != chips[i - 1]:
            if chips[i] == "" or chips[i] in (chips[begin] for begin in chip_begins):
                raise table.error(
                    line,
                    "chip",
                    f"{chips[i]!r} is empty, or its cells do not follow each other; put the lines in series order",
                )
            chip_begins.append(i)
        seen.add(name)
    cells = Cells(np.array(capacity_ah), np.array(soc), np.array(bleed_ohm))
    return Pack(names, chips, cells, [*chip_begins, len(names)])


def draw(path: Path, pack: Pack, plan: Plan) -> None:
    """The plan as bars over time, one row a cell, one colour a chip."""
    from bmsctl.report.figures import figure

    with figure(path, height=max(3.0, 1.5 + 0.11 * len(pack.names))) as drawing:
        axes = drawing.add_subplot()
        colours = {chip: f"C{number % 10}" for number, chip in enumerate(dict.fromkeys(pack.chips))}
        bars = [(cell, slot) for slot in plan.slots for cell in slot.cells]
        axes.hlines(
            [cell for cell, _ in bars],
            [slot.start_s / HOUR_S for _, slot in bars],
            [slot.end_s / HOUR_S for _, slot in bars],
            colors=[colours[pack.chips[cell]] for cell, _ in bars],
            linewidth=5,
        )
        every = max(1, len(pack.names) // 32)
        axes.set_yticks(range(0, len(pack.names), every), [str(name) for name in pack.names[::every]], fontsize=7)
        axes.set_ylim(len(pack.names) - 0.5, -0.5)
        axes.set_xlim(0.0, max(plan.makespan_s / HOUR_S, 1e-9))
        axes.set_xlabel("time in h")
        axes.set_ylabel("cell")
        axes.set_title(f"{len(pack.names)} cells in {plan.makespan_s / HOUR_S:.2f} h; no plan is shorter")


def _names(texts: Sequence[str]) -> Sequence[int | str]:
    """Cell numbers, or the names as they stand if not all are numbers."""
    if all(text.isascii() and text.isdigit() for text in texts):
        return [int(text) for text in texts]
    return texts


def _told(pack: Pack, aim: Target, plan: Plan, note: str) -> dict[str, object]:
    """What --json prints."""
    return {
        "bleed_s": aim.bleed_s.tolist(),
        "bound_s": plan.bound_s,
        "makespan_s": plan.makespan_s,
        "schedule": [
            {"start_s": slot.start_s, "end_s": slot.end_s, "cells": [pack.names[cell] for cell in slot.cells]}
            for slot in plan.slots
        ],
        "note": note or None,
    }


def _print(pack: Pack, aim: Target, plan: Plan) -> None:
    rows = [
        (name, chip, f"{soc:.4f}", f"{target:.4f}", f"{seconds / HOUR_S:.3f}")
        for name, chip, soc, target, seconds in zip(
            pack.names, pack.chips, pack.cells.soc, aim.soc, aim.bleed_s, strict=True
        )
    ]
    print_table(("cell", "chip", "soc", "bled to", "for h"), rows)
    click.echo(f"\nshortest possible: {plan.bound_s / HOUR_S:.3f} h; this plan: {plan.makespan_s / HOUR_S:.3f} h\n")
    slots = [
        (f"{slot.start_s / HOUR_S:.3f}", f"{slot.end_s / HOUR_S:.3f}", " ".join(str(pack.names[c]) for c in slot.cells))
        for slot in plan.slots
    ]
    print_table(("from h", "to h", "cells that bleed"), slots)


def _note(curve: Curve, cells: Cells, aim: Target) -> str:
    """What must be known about where the SOC came from; empty if a voltage at rest would do."""
    import numpy as np

    from bmsctl.analysis.balancing.ocv import BEST_READING_V, soc_error

    largest = float(np.max(cells.soc - aim.soc, initial=0.0))
    error = float(np.max(soc_error(curve, cells.soc, BEST_READING_V), initial=0.0))
    if largest == 0.0 or error < largest:
        return ""
    return (
        f"the open-circuit curve is so flat here that {BEST_READING_V * 1e3:g} mV stand for {error:.1%} of SOC, more "
        f"than the {largest:.1%} to be removed: this plan is only right if the SOC comes from charge history, not "
        "from voltages"
    )
