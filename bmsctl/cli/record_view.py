"""A record on stdout: as JSON, or as a summary and a table of its values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from bmsctl.cli.tables import print_table

_SUMMARY = (
    ("record_id", "record"),
    ("pack_serial", "serial"),
    ("pack", "pack"),
    ("station", "station"),
    ("attempt", "attempt"),
    ("started_at", "started"),
    ("ended_at", "ended"),
    ("verdict", "verdict"),
    ("reason", "reason"),
    ("disposition", "disposition"),
)
_COLUMNS = ("step", "measurement", "value", "unit", "low", "high", "u95", "verdict", "reason")


def print_record(record: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one record."""
    if as_json:
        click.echo(json.dumps(record, ensure_ascii=False, indent=2))
        return
    for key, label in _SUMMARY:
        click.echo(f"{label:<12} {'-' if record[key] is None else record[key]}")
    click.echo()
    print_table(_COLUMNS, list(_lines(record)))


def _lines(record: Mapping[str, Any]) -> Iterator[list[object]]:
    """A line for every step, then one for each of its measurements."""
    for step in record["steps"]:
        yield [step["name"], "", "", "", "", "", "", step["verdict"], step["reason"] or ""]
        for each in step["measurements"]:
            value, low, high, u95 = (_number(each[key]) for key in ("value", "low", "high", "u95"))
            unit, reason = each["unit"] or "", each["reason"] or ""
            yield ["", each["name"], value, unit, low, high, u95, each["verdict"], reason]


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"
