"""Is every record what was written, and does every verdict follow from what was measured?

Whatever the bytes are, the answer is a report; nothing is raised, created or changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bmsctl.errors import StoreError
from bmsctl.store import database, heads
from bmsctl.store.heads import Head
from bmsctl.store.noting import Noting, refuse_lost, unexplained
from bmsctl.store.rows import ATTEMPT_COLUMNS
from bmsctl.store.verify_run import Finding, RunReport, check_run, printable

_ROUNDS = 3
_SELECT_RUNS = f"SELECT id, {', '.join(ATTEMPT_COLUMNS)} FROM run ORDER BY id"
_GONE = f"the run is gone; {heads.FILE} names it"
_NOT_YET = f"its newest head is not in {heads.FILE} yet; the next start of the station adds it"
_NOT_NOTED = f"its newest head is not in {heads.FILE}, which was cut or replaced by an older copy"


@dataclass
class Report:
    """What a verification found. `notices` are no differences: runs still open, heads not yet noted."""

    n_runs: int = 0
    findings: list[Finding] = field(default_factory=list)
    notices: list[Finding] = field(default_factory=list)
    unreadable: str | None = None

    @property
    def ok(self) -> bool:
        """Everything was read and nothing is wrong."""
        return not self.findings and self.unreadable is None


def verify(folder: Path) -> list[Finding]:
    """Everything wrong in the store; empty if it was read whole and all verdicts were derived again. Never raises."""
    report = examine(folder)
    unreadable = [] if report.unreadable is None else [Finding(None, None, report.unreadable)]
    return report.findings + unreadable


def examine(folder: Path, keys: Sequence[str] = ()) -> Report:
    """Verify the store, or only the runs with these record ids or pack serials. Never raises."""
    for _ in range(_ROUNDS):
        before = _stamp(folder)
        report = _examine_once(folder, keys)
        if report.ok or _stamp(folder) == before:
            break
    return report


def _stamp(folder: Path) -> tuple[object, ...]:
    """Changes when a writer came while the database was read as if there were none."""
    try:
        status = (folder / database.FILE).stat()
        noted = (folder / heads.FILE).stat().st_size
        return status.st_mtime_ns, status.st_size, noted, database.has_log(folder)
    except OSError:
        return ()


def _examine_once(folder: Path, keys: Sequence[str]) -> Report:
    report = Report()
    try:
        with database.explained(f"{folder}: the store cannot be read"):
            _examine_files(folder, keys, report)
    except StoreError as error:
        report.unreadable = str(error)
    except Exception as error:
        report.unreadable = f"{folder}: the store cannot be read: {error}; restore it, or {database.ASIDE}"
    return report


def _examine_files(folder: Path, keys: Sequence[str], report: Report) -> None:
    # Read before the database: then every head must be there, whatever is written meanwhile.
    known, problems = heads.read(folder)
    if not (folder / database.FILE).exists():
        refuse_lost(folder, known)
    with database.open_to_read(folder) as connection:
        if database.revision_of(connection, folder) is None:
            report.findings += [Finding(gone, None, _GONE) for gone in dict.fromkeys(h.record_id for h in known)]
            return
        connection.text_factory = bytes
        if not keys:
            report.findings += [Finding(None, None, f"{heads.FILE}: {problem}") for problem in problems]
            report.findings += [Finding(None, None, problem) for problem in _check_file(connection)]
        runs = _check_runs(connection, keys, known, report)
        _check_noting(folder, runs, report)


def _check_runs(
    connection: sqlite3.Connection, keys: Sequence[str], known: Sequence[Head], report: Report
) -> list[Noting]:
    """Check every run asked for; how much of each is noted."""
    noted: dict[str, list[Head]] = {}
    for head in known:
        noted.setdefault(head.record_id, []).append(head)
    names: set[str] = set()
    checked: set[str] = set()
    notings: list[Noting] = []
    for run_id, *row in connection.execute(_SELECT_RUNS):
        record_id, serial = printable(row[0]), printable(row[1])
        names |= {record_id, serial}
        if keys and record_id not in keys and serial not in keys:
            continue
        try:
            run = check_run(connection, run_id, row, noted)
        # Damaged bytes reach SQLite, the codecs and the allocator in ways nobody can list.
        except Exception as error:
            run = RunReport(record_id, findings=[Finding(record_id, None, f"cannot be read: {error}")])
        report.n_runs += 1
        report.findings += run.findings
        report.notices += run.notices
        checked.add(run.record_id)
        if run.noting is not None:
            notings.append(run.noting)
    if not keys:
        report.findings += [Finding(gone, None, _GONE) for gone in noted if gone not in checked]
    report.findings += [Finding(key, None, "not in the store") for key in keys if key not in names]
    return notings


def _check_noting(folder: Path, runs: Sequence[Noting], report: Report) -> None:
    """Every run is noted, or a crash kept it from being."""
    if runs and not (folder / heads.FILE).exists():
        report.findings.append(Finding(None, None, f"{heads.FILE} is gone; there are records it should name"))
        return
    lacking = list(unexplained(runs, database.has_log(folder)))
    report.findings += [Finding(run.record_id, None, _NOT_NOTED) for run in lacking]
    report.notices += [
        Finding(run.record_id, None, _NOT_YET) for run in runs if run.closed and run.lacking and run not in lacking
    ]


def _check_file(connection: sqlite3.Connection) -> Iterator[str]:
    """What SQLite itself finds wrong, and rows that belong to no run."""
    for (problem,) in connection.execute("PRAGMA integrity_check"):
        if problem != b"ok":
            yield f"{database.FILE}: {printable(problem)}"
    for table in ("event", "trace"):
        orphans = f"SELECT run_id, seq FROM {table} WHERE run_id NOT IN (SELECT id FROM run) ORDER BY run_id, seq"
        for run_id, seq in connection.execute(orphans):
            yield f"table {table} has row {printable(seq)} of a run {printable(run_id)} that does not exist"
