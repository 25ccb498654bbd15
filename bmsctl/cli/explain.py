"""`bmsctl explain`: a record in words."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bmsctl.cli.exits import FAILED, STATION, leave
from bmsctl.cli.options import attempt_option, json_option, recipes_option, station_option, store_option, told_as
from bmsctl.cli.verdicts import coloured

if TYPE_CHECKING:
    from bmsctl.report.story import Finding

WIDTH = 110
INDENT = " " * 12


@click.command()
@click.argument("key", metavar="SERIAL|ID")
@attempt_option
@station_option
@store_option
@recipes_option
@json_option
def explain(
    key: str, attempt: int | None, station: str | None, store: Path, recipes: Path | None, as_json: bool
) -> None:
    """Say in words what was measured, against which limit, what is likely wrong and what to look at."""
    from bmsctl.compose.reports import explained
    from bmsctl.errors import StoreError
    from bmsctl.store.reader import Reader

    try:
        with Reader.open(store) as reader:
            record = reader.find(key, attempt, station)
        if record is None:
            which = told_as(key, attempt, station)
            leave(FAILED, f"{store} has no record of {which}; `bmsctl records list` shows what is there")
        found = explained(store, record["record_id"], recipes)
    except StoreError as error:
        leave(STATION, str(error))
    if as_json:
        head = {name: record[name] for name in ("record_id", "pack_serial", "verdict", "reason", "disposition")}
        click.echo(json.dumps(head | {"findings": [each._asdict() for each in found]}, ensure_ascii=False, indent=2))
        return
    for line in _lines(record, found):
        click.echo(line)


def _lines(record: Mapping[str, Any], found: Sequence[Finding]) -> Iterator[str]:
    from bmsctl.report.page import meaning
    from bmsctl.report.story import skipped

    serial = record["pack_serial"] or "pack without serial"
    yield f"{coloured(record['verdict'])} {serial}. {meaning(record)}"
    if record["reason"]:
        yield from _wrapped("", record["reason"])
    for each in found:
        yield ""
        yield f"{coloured(each.verdict)} {each.step}"
        yield from _wrapped("Measured", each.measured)
        if each.limit:
            yield from _wrapped("Limit", each.limit)
        yield from _wrapped("Likely", each.cause)
        yield from _wrapped("Look at", each.look)
    names_by_reason: dict[str, list[str]] = {}
    for name, reason in skipped(record):
        names_by_reason.setdefault(reason.removeprefix("not run: "), []).append(name)
    if names_by_reason:
        yield ""
    for reason, names in names_by_reason.items():
        yield from _wrapped("Not run", f"{', '.join(names)}: {reason}")
    if record["verdict"] == "PASS":
        measured = sum(len(step["measurements"]) for step in record["steps"])
        yield from _wrapped("", f"{len(record['steps'])} steps, {measured} measurements, all within their limits.")


def _wrapped(label: str, text: str) -> list[str]:
    first = f"  {label:<{len(INDENT) - 2}}"
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=INDENT, break_on_hyphens=False)
