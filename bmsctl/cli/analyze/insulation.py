"""`bmsctl analyze insulation`: from recorded pole voltages to a verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import FAILED, OK, STATION, USAGE, leave
from bmsctl.cli.options import json_option
from bmsctl.cli.tables import print_table

if TYPE_CHECKING:
    from bmsctl.analysis.insulation.judge import Judgement, Side
    from bmsctl.analysis.insulation.recording import InsulationRecording

WORST_FIRST = {"FAIL": FAILED, "INVALID": STATION, "UNDECIDED": STATION, "PASS": OK}
COLUMNS = {
    "r_pos_ohm": "R+ kOhm",
    "r_neg_ohm": "R- kOhm",
    "r_iso_r100_ohm": "R100 kOhm",
    "r_iso_parallel_ohm": "parallel kOhm",
    "limit_ohm": "limit kOhm",
}


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--settled", is_flag=True, help="Use the whole record; by default decide as early as is sure.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw voltages and circuit of the one FILE, as .svg or .png.",
)
@json_option
def insulation(files: Sequence[Path], settled: bool, plot: Path | None, as_json: bool) -> None:
    """Insulation resistance from the voltages recorded in each FILE, an .npz archive.

    Its columns are v_pos, v_neg, scale_v, sample_rate_hz, switch_time_s, switch_state (0 no resistor, 1 at minus, 2 at
    plus), r0_ohm, r_meter_ohm, limit_ohm_per_v and max_working_voltage_v. Prints a line of JSON a file; on a terminal,
    a table unless --json is given. An early FAIL is provisional: --settled confirms it.
    """
    from bmsctl.errors import BmsctlError

    if plot is not None and len(files) > 1:
        leave(USAGE, "--plot draws one file; give one FILE")
    told: list[dict[str, object]] = []
    unreadable = False
    for file in files:
        try:
            line = _judged(file, settled, plot)
        except BmsctlError as error:
            unreadable = True
            click.echo(f"bmsctl: {error}", err=True)
            line = _line(None, None, str(error))
        told.append(line)
        if as_json or not sys.stdout.isatty():
            click.echo(json.dumps(line))
    if not as_json and sys.stdout.isatty():
        _print(files, told)
    if unreadable:
        leave(USAGE)
    verdicts = {str(line["verdict"]) for line in told}
    leave(next(code for verdict, code in WORST_FIRST.items() if verdict in verdicts))


def _judged(file: Path, settled: bool, plot: Path | None) -> dict[str, object]:
    from bmsctl.analysis.insulation.recording import judge_recording, read_recording

    recording = read_recording(file)
    judgement = judge_recording(recording, settled)
    if plot is not None:
        draw(plot, recording, judgement)
    return _line(judgement, recording.circuit.limit_ohm, judgement.reason)


def _line(judgement: Judgement | None, limit_ohm: float | None, reason: str) -> dict[str, object]:
    """What is printed of a file; without a judgement it could not be read."""
    found = judgement._asdict() if judgement else {}
    plus, minus, y = (found.get(name) for name in ("plus", "minus", "y"))
    return {
        "r_pos_ohm": _ohm(plus)[0],
        "r_pos_ohm_u95": _ohm(plus)[1],
        "r_neg_ohm": _ohm(minus)[0],
        "r_neg_ohm_u95": _ohm(minus)[1],
        "c_y_farad": y.value if y else None,
        "c_y_farad_u95": y.u95 if y else None,
        "r_iso_r100_ohm": _number(judgement.r100_ohm) if judgement else None,
        "r_iso_parallel_ohm": _number(judgement.parallel_ohm) if judgement else None,
        "limit_ohm": limit_ohm,
        "verdict": str(judgement.verdict) if judgement else "INVALID",
        "provisional": judgement.provisional if judgement else False,
        "decided_at_s": _number(judgement.decided_at_s) if judgement else None,
        "chi2": _number(judgement.chi2) if judgement else None,
        "reason": reason,
    }


def _ohm(side: Side | None) -> tuple[float | None, float | None]:
    """Resistance and its uncertainty to first order; none where the conductance is not above zero."""
    if side is None or not side.value > 0.0:
        return None, None
    return 1.0 / side.value, side.u95 / side.value**2


def _number(value: float) -> float | None:
    from math import isfinite

    return float(value) if isfinite(value) else None


def _print(files: Sequence[Path], told: Sequence[dict[str, object]]) -> None:
    rows = []
    for file, line in zip(files, told, strict=True):
        kilo = (None if value is None else f"{float(str(value)) / 1e3:.1f}" for value in map(line.get, COLUMNS))
        word = f"{line['verdict']}{' (provisional)' if line['provisional'] else ''}"
        rows.append((str(file), *kilo, word, line["reason"]))
    print_table(("file", *COLUMNS.values(), "verdict", "why"), rows)


def draw(path: Path, recording: InsulationRecording, judgement: Judgement) -> None:
    """Measured and fitted share of the voltage at the minus pole, and what is left between them."""
    from bmsctl.report.figures import figure

    centre_s = recording.grid.centre_s
    with figure(path) as drawing:
        upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        blocks = recording.blocks
        share = 0.5 + 0.5 * blocks.difference_v / blocks.sum_v
        upper.plot(centre_s, 100.0 * share, ".", color="0.6", markersize=2, label="measured")
        upper.set_ylabel("minus pole to chassis, % of U")
        if judgement.fitted is not None:
            used_s = centre_s[: len(judgement.fitted.share)]
            upper.plot(used_s, 100.0 * judgement.fitted.circuit, "C0", linewidth=1.2, label="circuit")
            left = (judgement.fitted.share - judgement.fitted.circuit) / judgement.fitted.noise
            lower.plot(used_s, left, ".", color="C0", markersize=2)
            upper.axvline(judgement.decided_at_s, color="C3", label=f"{judgement.verdict}")
        lower.set_ylabel("left, sd")
        lower.set_xlabel("time in s")
        for begin_s in recording.grid.segments.begin_s:
            upper.axvline(begin_s, color="0.8", linewidth=0.6, zorder=0)
        upper.legend(loc="best")
        upper.set_title(f"{judgement.verdict}: {judgement.reason}", fontsize=9)
