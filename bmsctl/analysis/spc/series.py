"""Series of measurements as `bmsctl analyze spc` reads them: `key, value[, lower, upper]`, a line a measurement."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.tables import Table, read_table

F64 = NDArray[np.float64]

LIMITS = ("lower", "upper")


class Series(NamedTuple):
    """Values of one key in the order of the file, NaN where missing, and its limits, NaN for none."""

    values: F64
    lower: float
    upper: float


def read_series(path: Path) -> dict[str, Series]:
    """The series of a file by their keys, in the order these first appear.

    An empty value, `nan` or `inf` is a missing measurement. A limit may stand in each line of its key or only in some.

    Raises:
        TableError: the file or a value cannot be used; a key is empty; a key has two different limits, or they are
            inverted.
    """
    table = read_table(path, ("key", "value"), LIMITS)
    texts = [text or "nan" for text in table.columns["value"]]
    values = np.array(Table(table.name, {"value": texts}, table.lines).numbers("value"))
    places: dict[str, list[int]] = {}
    for place, key in enumerate(table.columns["key"]):
        if not key:
            raise table.error(table.lines[place], "key", "is empty; name what was measured")
        places.setdefault(key, []).append(place)
    series = {}
    for key, of_key in places.items():
        lower, upper = (_limit(table, name, of_key) for name in LIMITS)
        if lower >= upper:
            line = table.lines[of_key[0]]
            raise table.error(line, "lower", f"{lower:g} is not below the upper limit {upper:g} of {key}; correct one")
        series[key] = Series(values[of_key], lower, upper)
    return series


def _limit(table: Table, name: str, places: list[int]) -> float:
    """The one limit of a key, NaN for none."""
    found = math.nan
    for place in places if name in table.columns else ():
        text, line = table.columns[name][place], table.lines[place]
        if not text:
            continue
        limit = Table(table.name, {name: [text]}, [line]).numbers(name)[0]
        if not math.isfinite(limit):
            raise table.error(line, name, f"{text} is no limit; leave it empty for none")
        if limit != found and not math.isnan(found):
            raise table.error(line, name, f"{limit:g} differs from {found:g} of the same key; give a key one limit")
        found = limit
    return found
