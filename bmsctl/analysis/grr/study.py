"""A crossed study: every appraiser measures every part the same number of times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.tables import read_table
from bmsctl.errors import BmsctlError

F64 = NDArray[np.float64]

TRIALS_MIN = 2
PARTS_MIN = 2
NAMED = 3
COLUMNS = ("part", "appraiser", "trial", "value")


class StudyError(BmsctlError):
    """The study cannot be evaluated: it is too small, or something is missing in it."""


class Study(NamedTuple):
    """`values`: (parts, appraisers, trials); names in the order they first appear."""

    parts: Sequence[str]
    appraisers: Sequence[str]
    values: F64


def crossed_study(rows: Sequence[tuple[str, str, str, float]]) -> Study:
    """Arrange (part, appraiser, trial, value) rows in any order.

    Raises:
        StudyError: a value is no number, a trial is there twice, an appraiser measured a part less often than others,
            or there are fewer than two parts or two trials; the text names what is missing.
    """
    cells: dict[tuple[str, str], dict[str, float]] = {}
    parts, appraisers = list(dict.fromkeys(row[0] for row in rows)), list(dict.fromkeys(row[1] for row in rows))
    for part, appraiser, trial, value in rows:
        trials = cells.setdefault((part, appraiser), {})
        if trial in trials:
            raise StudyError(f"part {part}, appraiser {appraiser}: trial {trial} is there twice; keep one")
        if not math.isfinite(value):
            raise StudyError(f"part {part}, appraiser {appraiser}: trial {trial} has no value; measure it again")
        trials[trial] = value
    count = max((len(trials) for trials in cells.values()), default=0)
    all_trials = dict.fromkeys(row[2] for row in rows)
    missing = []
    for part in parts:
        for appraiser in appraisers:
            there = cells.get((part, appraiser), {})
            if len(there) < count:
                absent = [trial for trial in all_trials if trial not in there]
                missing.append(f"part {part}, appraiser {appraiser}: trial {', '.join(absent)}")
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise StudyError(f"measurements are missing: {'; '.join(missing[:NAMED])}{more}; measure them")
    if len(parts) < PARTS_MIN or count < TRIALS_MIN:
        raise StudyError(
            f"{len(parts)} parts and {count} trials are too few; measure {PARTS_MIN} parts or more, each at least "
            f"{TRIALS_MIN} times"
        )
    values = [[list(cells[part, appraiser].values()) for appraiser in appraisers] for part in parts]
    return Study(parts, appraisers, np.array(values))


def read_study(path: Path) -> Study:
    """The study in a CSV file with the columns `part, appraiser, trial, value`.

    Raises:
        TableError: the file or a value in it cannot be used.
        StudyError: as `crossed_study`; the text begins with the file.
    """
    table = read_table(path, COLUMNS)
    values = table.numbers("value")
    for name in COLUMNS[:3]:
        for text, line in zip(table.columns[name], table.lines, strict=True):
            if not text:
                raise table.error(line, name, "is empty; name it")
    for value, line in zip(values, table.lines, strict=True):
        if not math.isfinite(value):
            raise table.error(line, "value", f"{value} is no measurement; measure it again")
    rows = zip(*(table.columns[name] for name in COLUMNS[:3]), values, strict=True)
    try:
        return crossed_study([(part, appraiser, trial, value) for part, appraiser, trial, value in rows])
    except StudyError as error:
        raise StudyError(f"{table.name}: {error}") from None
