"""`bmsctl analyze grr`: repeatability and reproducibility of a measuring system."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import USAGE, leave
from bmsctl.cli.options import json_option
from bmsctl.cli.tables import print_table

if TYPE_CHECKING:
    from bmsctl.analysis.grr.study import Study
    from bmsctl.analysis.grr.variation import Variation

METHODS = ("average-range", "anova")
WORDS = {
    "ev": "repeatability (EV)",
    "av": "reproducibility (AV)",
    "interaction": "appraiser by part",
    "grr": "both (GRR)",
    "pv": "parts (PV)",
    "tv": "total (TV)",
}


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the readings of each part and the shares of variation, as .svg or .png.",
)
@json_option
def grr(file: Path, method: str, plot: Path | None, as_json: bool) -> None:
    """Evaluate the study in FILE, a CSV file: part, appraiser, trial, value.

    Every appraiser measures every part the same number of times. ev, av, grr, pv and tv are standard deviations;
    ndc is the number of distinct categories, null if the measuring system showed no variation at all.
    """
    from bmsctl.analysis.grr.anova import anova
    from bmsctl.analysis.grr.average_range import average_range
    from bmsctl.analysis.grr.study import read_study
    from bmsctl.errors import BmsctlError

    try:
        study = read_study(file)
        found = anova(study) if method == "anova" else average_range(study)
        if plot is not None:
            draw(plot, study, found)
    except BmsctlError as error:
        leave(USAGE, str(error))
    if as_json:
        click.echo(json.dumps(_told(study, found, method), indent=2))
    else:
        _print(found)
    if found.ndc is None:
        click.echo("all trials of a part read the same: the measuring system is too coarse to be judged", err=True)


def _told(study: Study, found: Variation, method: str) -> dict[str, object]:
    """What --json prints."""
    parts, appraisers, trials = study.values.shape
    sizes = {"method": method, "parts": parts, "appraisers": appraisers, "trials": trials}
    percent = found.percent_grr if math.isfinite(found.percent_grr) else None
    return {**sizes, **found._asdict(), "percent_grr": percent}


def _print(found: Variation) -> None:
    rows = []
    for name, words in WORDS.items():
        sd = getattr(found, name)
        rows.append((words, f"{sd:.6g}", f"{100.0 * sd / found.tv:.2f} %" if found.tv > 0.0 else None))
    print_table(("source", "standard deviation", "of total"), rows)
    click.echo(f"\nnumber of distinct categories: {'-' if found.ndc is None else found.ndc}")


def draw(path: Path, study: Study, found: Variation) -> None:
    """Readings part by part, a colour an appraiser, and each source's share of the total."""
    import numpy as np

    from bmsctl.report.figures import figure

    parts, appraisers, trials = study.values.shape
    with figure(path) as drawing:
        left, right = drawing.subplots(1, 2, width_ratios=(2, 1))
        for number, appraiser in enumerate(study.appraisers):
            offset = (number - (appraisers - 1) / 2.0) * 0.6 / appraisers
            places = np.repeat(np.arange(parts) + offset, trials)
            left.plot(places, study.values[:, number].ravel(), ".", color=f"C{number % 10}", label=appraiser)
        left.set_xticks(range(parts), study.parts)
        left.set_xlabel("part")
        left.set_ylabel("value")
        left.legend(loc="best")
        names = list(WORDS)[:-1]
        shares = [100.0 * getattr(found, name) / found.tv if found.tv > 0.0 else 0.0 for name in names]
        right.bar(names, shares)
        right.set_ylabel("% of total variation")
