"""A record on stdout: as JSON, or for a person, verdicts first and every value with the limits it was judged by.

Of what was measured of every part, the worst is told, and all that did not pass. The parts of a pack come last, each
with the bolts that hold it.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any

import click

from bmsctl.cli.verdicts import coloured
from bmsctl.domain.parts import bolt_of, held_by, kind_of
from bmsctl.domain.quantities import quantity
from bmsctl.report.families import Family, families

WIDTH = 100


def print_record(record: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one record."""
    if as_json:
        click.echo(json.dumps(record, ensure_ascii=False, indent=2))
        return
    for line in _lines(record):
        click.echo(line.rstrip())


def print_records(records: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print several records of one pack; as JSON, an array."""
    if as_json:
        click.echo(json.dumps(records, ensure_ascii=False, indent=2))
        return
    for number, record in enumerate(records):
        if number:
            click.echo()
        print_record(record, as_json=False)


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
        for family in families(step["measurements"]):
            yield from _family(family)
    yield from _genealogy(record["genealogy"])


def _family(family: Family) -> Iterator[str]:
    """A measurement, or that of the worst part; then the other parts that did not pass."""
    yield from _measurement(family.worst, f"  of {len(family.members)} parts" if len(family.members) > 1 else "")
    for _, each in family.members:
        if each["verdict"] != "PASS" and each is not family.worst:
            yield from _measurement(each)


def _measurement(each: Mapping[str, Any], among: str = "") -> Iterator[str]:
    unit = each["unit"]
    value = "-" if each["value"] is None else quantity(each["value"], unit)
    u95 = f"± {quantity(each['u95'], unit)}" if each["u95"] else ""
    yield f"  {coloured(each['verdict'])} {each['name']:<25} {value:>11} {u95:<12} {_limits(each)}{among}"
    if each["verdict"] != "PASS":
        yield f"           {each['reason']}"


def _limits(each: Mapping[str, Any]) -> str:
    low, high, unit = each["low"], each["high"], each["unit"]
    if low is None:
        return f"<= {quantity(high, unit)}"
    if high is None:
        return f">= {quantity(low, unit)}"
    return f"{quantity(low, unit)} … {quantity(high, unit)}"


def _genealogy(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Every part once in, in order; bolts under the part that they hold."""
    if not parts:
        return
    bolts: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        if kind_of(part["slot"]) == "bolt":
            bolts.setdefault(held_by(bolt_of(part["slot"])), []).append(part)
    yield ""
    yield "parts"
    for part in parts:
        if kind_of(part["slot"]) != "bolt":
            lot = f"lot {part['lot']}" if part["lot"] else ""
            gone = f"out: {part['removed_reason']}" if part["removed_reason"] else ""
            line = f"  {part['slot']:<10} {part['part_number']:<11} {part['serial'] or '-':<22} {lot:<14} {gone}"
            yield line.rstrip()
            if not gone:
                yield from _bolts(bolts.pop(part["slot"], []))
    for slot, left in bolts.items():
        yield f"  {slot:<10} is out"
        yield from _bolts(left)


def _bolts(bolts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What holds one part: how many bolts, their torques and angles; then those that were taken out again, and why."""
    tight = {bolt_of(each["slot"]): each["tightenings"][-1] for each in bolts if _is_in(each) and each["tightenings"]}
    if tight:
        torque = _span([last["torque"] for last in tight.values()], "Nm")
        angle = _span([last["angle"] for last in tight.values()], "deg")
        yield from _wrapped(f"{_counted(tight)}, {torque}, {angle}: {', '.join(tight)}")
    loose = [bolt_of(each["slot"]) for each in bolts if _is_in(each) and not each["tightenings"]]
    if loose:
        yield from _wrapped(f"{_counted(loose)} without a tightening on record: {', '.join(loose)}")
    gone: dict[str, list[str]] = {}
    for each in bolts:
        if not _is_in(each):
            gone.setdefault(each["removed_reason"], []).append(bolt_of(each["slot"]))
    for reason, names in gone.items():
        yield from _wrapped(f"{_counted(names)} out, {reason}: {', '.join(names)}")


def _counted(bolts: Sized) -> str:
    return f"{len(bolts)} bolt{'' if len(bolts) == 1 else 's'}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * 13, subsequent_indent=" " * 15, break_on_hyphens=False)


def _is_in(part: Mapping[str, Any]) -> bool:
    return part["removed_reason"] is None


def _span(values: Sequence[float | None], unit: str) -> str:
    known = [value for value in values if value is not None]
    return f"{quantity(min(known), unit)} … {quantity(max(known), unit)}" if known else f"no value in {unit}"
