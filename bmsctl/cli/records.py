"""`bmsctl records`: the past, read from the store and proved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click

from bmsctl.cli.exits import FAILED, OK, STATION, USAGE, leave
from bmsctl.cli.options import attempt_option, json_option, recipes_option, station_option, store_option, told_as

OPEN = "open"
OPEN_HINT = (
    "open: the run is going on, or its program crashed; then the next start of the station resumes it (stacking) "
    "or ends it as ABORTED (eol)"
)


@click.group()
def records() -> None:
    """List, show, report and verify stored records."""


@records.command("list")
@store_option
@json_option
def list_(store: Path, as_json: bool) -> None:
    """List every attempt, in the order they were begun."""
    from bmsctl.cli.tables import print_table
    from bmsctl.errors import StoreError
    from bmsctl.store.reader import Reader

    try:
        with Reader.open(store) as reader:
            attempts = reader.attempts()
    except StoreError as error:
        leave(STATION, str(error))
    if as_json:
        click.echo(json.dumps([asdict(attempt) for attempt in attempts], ensure_ascii=False, indent=2))
        return
    columns = ("started_at", "pack", "pack_serial", "station", "attempt", "verdict", "disposition", "record_id")
    shown = [attempt if attempt.verdict else replace(attempt, verdict=OPEN) for attempt in attempts]
    print_table(columns, [[getattr(attempt, name) for name in columns] for attempt in shown])
    if any(attempt.verdict is None for attempt in attempts):
        click.echo(OPEN_HINT, err=True)


@records.command()
@click.argument("key", metavar="ID|SERIAL")
@attempt_option
@station_option
@store_option
@json_option
def show(key: str, attempt: int | None, station: str | None, store: Path, as_json: bool) -> None:
    """Show a record, by its id or by the pack's serial."""
    from bmsctl.cli.record_view import print_record
    from bmsctl.errors import StoreError
    from bmsctl.store.reader import Reader

    try:
        with Reader.open(store) as reader:
            record = reader.find(key, attempt, station)
    except StoreError as error:
        leave(STATION, str(error))
    if record is None:
        which = told_as(key, attempt, station)
        leave(FAILED, f"{store} has no record of {which}; `bmsctl records list` shows what is there")
    if as_json or record["verdict"]:
        print_record(record, as_json=as_json)
        return
    print_record(record | {"verdict": OPEN}, as_json=False)
    click.echo(OPEN_HINT, err=True)


@records.command()
@click.argument("key", metavar="ID|SERIAL")
@attempt_option
@station_option
@store_option
@recipes_option
@click.option("--pdf", is_flag=True, help="Write a PDF for the archive in place of the page.")
def report(key: str, attempt: int | None, station: str | None, store: Path, recipes: Path | None, pdf: bool) -> None:
    """Write a record's HTML page, or its PDF, and print its path."""
    from bmsctl.compose.reports import write_pdf, write_report
    from bmsctl.errors import BmsctlError, StoreError
    from bmsctl.store.reader import Reader

    try:
        with Reader.open(store) as reader:
            record = reader.find(key, attempt, station)
        if record is None:
            which = told_as(key, attempt, station)
            leave(FAILED, f"{store} has no record of {which}; `bmsctl records list` shows what is there")
        click.echo((write_pdf if pdf else write_report)(store, record["record_id"], recipes))
    except StoreError as error:
        leave(STATION, str(error))
    except BmsctlError as error:
        leave(USAGE, str(error))


@records.command()
@click.argument("keys", metavar="[ID|SERIAL]...", nargs=-1)
@store_option
@json_option
def verify(keys: Sequence[str], store: Path, as_json: bool) -> None:
    """Prove that nothing was changed and derive every verdict again."""
    from bmsctl.store.verify import examine

    report = examine(store, keys)
    if as_json:
        findings = [asdict(finding) for finding in report.findings]
        notices = [asdict(notice) for notice in report.notices]
        result = {"ok": report.ok, "records": report.n_runs, "findings": findings, "notices": notices}
        click.echo(json.dumps(result | {"unreadable": report.unreadable}, ensure_ascii=False, indent=2))
    else:
        for finding in report.findings:
            click.echo(str(finding))
        for notice in report.notices:
            click.echo(str(notice), err=True)
        if report.ok:
            still = f", {len(report.notices)} of them still open" if report.notices else ""
            click.echo(f"OK: {report.n_runs} record{'' if report.n_runs == 1 else 's'} verified{still}")
    if report.unreadable is not None:
        leave(STATION, report.unreadable)
    leave(OK if report.ok else FAILED)


@records.command()
def schema() -> None:
    """Print the JSON Schema of a record."""
    from bmsctl.domain.record_schema import SCHEMA

    click.echo(json.dumps(SCHEMA, indent=2))
