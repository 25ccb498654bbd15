"""A record on stdout: as JSON, or for a person, verdicts first and every value with the limits it was judged by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from bmsctl.cli.verdicts import coloured
from bmsctl.domain.quantities import quantity


def print_record(record: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one record."""
    if as_json:
        click.echo(json.dumps(record, ensure_ascii=False, indent=2))
        return
    for line in _lines(record):
        click.echo(line.rstrip())


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    serial = record["pack_serial"] or "pack without serial"
    disposition = f", {record['disposition']}" if record["disposition"] else ""
    yield f"{coloured(record['verdict'])} {serial}, {record['station']} attempt {record['attempt']}{disposition}"
    if record["reason"]:
        yield f"         {record['reason']}"
    yield f"         record {record['record_id']}"
    yield f"         {record['started_at']} to {record['ended_at'] or 'now'}"
    for step in record["steps"]:
        took = "" if step["duration_s"] is None else f"{step['duration_s']:8.1f} s"
        yield ""
        yield f"{coloured(step['verdict'])} {step['name']:<27}{took}"
        if step["reason"]:
            yield f"         {step['reason']}"
        for each in step["measurements"]:
            yield from _measurement(each)


def _measurement(each: Mapping[str, Any]) -> Iterator[str]:
    unit = each["unit"]
    value = "-" if each["value"] is None else quantity(each["value"], unit)
    u95 = f"± {quantity(each['u95'], unit)}" if each["u95"] else ""
    yield f"  {coloured(each['verdict'])} {each['name']:<25} {value:>11} {u95:<12} {_limits(each)}"
    if each["verdict"] != "PASS":
        yield f"           {each['reason']}"


def _limits(each: Mapping[str, Any]) -> str:
    low, high, unit = each["low"], each["high"], each["unit"]
    if low is None:
        return f"<= {quantity(high, unit)}"
    if high is None:
        return f">= {quantity(low, unit)}"
    return f"{quantity(low, unit)} … {quantity(high, unit)}"
