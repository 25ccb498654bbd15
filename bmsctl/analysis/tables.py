"""Columns of a CSV file by name, as `bmsctl analyze` reads them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bmsctl.errors import BmsctlError


class TableError(BmsctlError):
    """A file of values cannot be used; the text names file, line or column, and what to do."""


class Table(NamedTuple):
    """`columns`: name to texts, all of the same length; row i stands in line `lines[i]` of file `name`."""

    name: str
    columns: Mapping[str, Sequence[str]]
    lines: Sequence[int]

    def numbers(self, column: str) -> list[float]:
        """A column as floats.

        Raises:
            TableError: a text that is no number, or is empty.
        """
        return [self._number(text, column, line) for text, line in zip(self.columns[column], self.lines, strict=True)]

    def _number(self, text: str, column: str, line: int) -> float:
        try:
            return float(text)
        except ValueError:
            raise self.error(line, column, f"{text!r} is no number; write a decimal number with a point") from None

    def error(self, line: int, column: str, what: str) -> TableError:
        """The error about one value."""
        return TableError(f"{self.name}:{line}: {column}: {what}")


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read a CSV file in UTF-8 with a header line; other columns are ignored, empty lines skipped.

    Raises:
        TableError: unreadable, not UTF-8, no header, a column missing or doubled, a line with too few values, or
            no line of values at all.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            body = [(rows.line_num, row) for row in rows if any(text.strip() for text in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path}: cannot be read: {error}; give a CSV file in UTF-8") from error
    missing = [name for name in required if name not in header]
    if missing:
        found = ", ".join(header) or "no header"
        raise TableError(f"{path}:1: column {', '.join(missing)} is missing (found: {found}); add it to the header")
    used = [name for name in (*required, *optional) if name in header]
    for name in used:
        if header.count(name) > 1:
            raise TableError(f"{path}:1: column {name} is there twice; keep one")
    if not body:
        raise TableError(f"{path}: has no values below its header; add at least one line")
    places = {name: header.index(name) for name in used}
    for line, row in body:
        for name, place in places.items():
            if place >= len(row):
                raise TableError(f"{path}:{line}: {name}: is missing in this line; give each line all columns")
    columns = {name: [row[place].strip() for _, row in body] for name, place in places.items()}
    return Table(str(path), columns, [line for line, _ in body])
