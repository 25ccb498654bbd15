"""Verification against every single change of the stored bytes, and against whole parts gone."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmsctl.domain.events import Measured, StepFinished, StepKept
from bmsctl.domain.verdict import Verdict
from bmsctl.store import heads
from bmsctl.store.journal import Journal
from bmsctl.store.reader import Reader
from bmsctl.store.verify import examine, verify
from tests.support.attempts import (
    RECORD_ID,
    SERIAL,
    StoryClock,
    closed,
    good_run,
    good_story,
    on_loop,
    opened,
    store_of,
    tell,
)

FIRST, SECOND = (f"{RECORD_ID[:-2]}{n:02}" for n in (1, 2))


@pytest.fixture
def store(tmp_path: Path, two_attempts: Path) -> Path:
    """A fresh copy of a store with two attempts."""
    return Path(shutil.copytree(two_attempts, tmp_path / "store"))


@pytest.fixture(scope="module")
def two_attempts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "store"
    store_of(folder, attempts=2)
    return folder


def _change(folder: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
        assert connection.execute(sql, values).rowcount > 0


def _rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        return connection.execute(sql).fetchall()


def _flipped(value: Any) -> Any:
    """The value with one bit changed."""
    if isinstance(value, int):
        return value ^ 64
    if isinstance(value, float):
        return float((np.array(value).view(np.int64) ^ 1).view(np.float64))
    if isinstance(value, bytes):
        return bytes([*value[:-1], value[-1] ^ 1])
    return value[:-1] + chr(ord(value[-1]) ^ 1)


def test_a_good_store_has_no_finding(store: Path) -> None:
    report = examine(store)
    assert (report.ok, report.n_runs, report.notices) == (True, 2, [])


def _columns(folder: Path) -> Iterator[tuple[str, str]]:
    for table in ("run", "event", "trace"):
        for row in _rows(folder, f"PRAGMA table_info({table})"):
            yield table, row[1]


def test_one_changed_bit_in_any_column_of_any_row_is_named(store: Path, tmp_path: Path) -> None:
    run_ids = {1: FIRST, 2: SECOND}
    changes = 0
    for table, column in list(_columns(store)):
        key = "id" if table == "run" else "run_id, seq"
        for row in _rows(store, f"SELECT {key}, {column} FROM {table}"):
            value = row[-1]
            copy = Path(shutil.copytree(store, tmp_path / "copy"))
            where = " AND ".join(f"{name} = {part}" for name, part in zip(key.split(", "), row, strict=False))
            _change(copy, f"UPDATE {table} SET {column} = ? WHERE {where}", _flipped(value))
            report = examine(copy)
            text = "\n".join(map(str, report.findings))
            assert report.unreadable is None
            assert run_ids[row[0]] in text, (table, column, row[:-1], text)
            if table == "run":
                assert f"column {column}" in text or column == "id", text
            elif column not in ("run_id", "seq"):
                assert any(each.record_id == run_ids[row[0]] and each.seq == row[1] for each in report.findings), text
            shutil.rmtree(copy)
            changes += 1
    assert changes == 2 * 10 + 2 * 17 * 8 + 2 * 2 * 3


def test_a_changed_event_is_the_only_one_named(store: Path) -> None:
    _change(store, "UPDATE event SET payload = replace(payload, '50.125', '50.126') WHERE run_id = 1")
    assert [(each.record_id, each.seq) for each in verify(store)] == [(FIRST, 13)]


def test_a_changed_hash_is_the_only_one_named(store: Path) -> None:
    _change(store, "UPDATE event SET sha256 = ? WHERE run_id = 1 AND seq = 5", "0" * 64)
    assert [(each.record_id, each.seq) for each in verify(store)] == [(FIRST, 5)]


def test_a_verdict_forged_with_its_whole_chain_is_still_derived_again(tmp_path: Path) -> None:
    """A chain that fits cannot make a PASS of 80 Ohm."""

    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        events = good_story()
        assert isinstance(events[-1], Measured)
        events[-1] = replace(events[-1], value=80.0)
        await tell(log, events)
        log.append(StepFinished("precharge", Verdict.PASS, "", 1.5, 2.0))
        await log.close(closed())
        journal.close()

    on_loop(main)
    (finding,) = verify(tmp_path)
    assert (finding.record_id, finding.seq) == (RECORD_ID, 13)
    assert "PASS, but 80.0 Ohm is FAIL" in finding.what


@pytest.mark.parametrize("keep", range(17))
def test_a_cut_tail_is_named(store: Path, keep: int) -> None:
    with closing(sqlite3.connect(store / "store.db", isolation_level=None)) as connection:
        for table in ("trace", "event"):
            connection.execute(f"DELETE FROM {table} WHERE run_id = 2 AND seq > ?", (keep,))
    assert any(each.record_id == SECOND and each.seq == 17 for each in verify(store))


@pytest.mark.parametrize("seq", range(1, 17))
def test_an_event_taken_out_of_the_middle_is_named(store: Path, seq: int) -> None:
    _change(store, "DELETE FROM event WHERE run_id = 1 AND seq = ?", seq)
    findings = verify(store)
    assert any(each.record_id == FIRST and each.seq == seq for each in findings), findings


def test_a_trace_taken_away_is_named(store: Path) -> None:
    _change(store, "DELETE FROM trace WHERE run_id = 2 AND seq = 15")
    (finding,) = verify(store)
    assert str(finding) == f"{SECOND}: event 15: trace cells of step precharge: missing"


def test_a_trace_nobody_recorded_is_named(store: Path) -> None:
    _change(store, "INSERT INTO trace VALUES (1, 3, x'00')")
    (finding,) = verify(store)
    assert (finding.record_id, finding.seq) == (FIRST, 3)


def test_a_removed_run_is_named(store: Path) -> None:
    for table, key in (("trace", "run_id"), ("event", "run_id"), ("run", "id")):
        _change(store, f"DELETE FROM {table} WHERE {key} = 1")
    (finding,) = verify(store)
    assert str(finding) == f"{FIRST}: the run is gone; heads.log names it"


def test_an_open_run_that_was_removed_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        await journal.open_run(opened()).commit()
        journal.close()

    on_loop(main)
    assert verify(tmp_path) == []
    _change(tmp_path, "DELETE FROM event")
    _change(tmp_path, "DELETE FROM run")
    assert [each.record_id for each in verify(tmp_path)] == [RECORD_ID]


def test_events_of_one_run_given_to_another_are_named(store: Path) -> None:
    _change(store, "UPDATE event SET run_id = run_id + 10")
    _change(store, "UPDATE event SET run_id = 13 - run_id")
    assert {each.record_id for each in verify(store)} >= {FIRST, SECOND}


def test_a_run_row_added_by_hand_is_named(store: Path) -> None:
    columns = "pack_serial, pack, station, 3, started_at, ended_at, verdict, disposition"
    _change(store, f"INSERT INTO run SELECT 3, 'r-3', {columns} FROM run WHERE id = 1")
    assert {each.record_id for each in verify(store)} == {"r-3"}


def test_an_open_run_is_reported_as_open_and_no_difference(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        await good_run(journal)
        log = journal.open_run(opened("r-2", 2))
        await tell(log, good_story())
        await log.commit()
        during = examine(tmp_path)
        assert (during.ok, [str(each) for each in during.notices]) == (True, ["r-2: open: not closed yet"])
        journal.close()

    on_loop(main)
    report = examine(tmp_path)
    assert (report.ok, [str(each) for each in report.notices]) == (True, ["r-2: open: not closed yet"])


def test_only_the_runs_asked_for_are_verified(store: Path) -> None:
    _change(store, "UPDATE event SET t_s = 99.5 WHERE run_id = 1 AND seq = 4")
    assert examine(store, [SECOND]).ok
    assert [each.record_id for each in examine(store, [FIRST]).findings] == [FIRST]
    assert examine(store, [SERIAL]).n_runs == 2
    assert [str(each) for each in examine(store, ["other"]).findings] == ["other: not in the store"]


@pytest.mark.parametrize("line", range(4))
def test_every_line_of_the_heads_counts(store: Path, line: int) -> None:
    path = store / heads.FILE
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (lines[line].replace(b",1", b",3"), lines[line][:-5] + b'x"]\n', lines[line][3:]):
        path.write_bytes(b"".join([*lines[:line], damaged, *lines[line + 1 :]]))
        assert verify(store) != []


def test_heads_that_are_gone_are_noticed(store: Path) -> None:
    (store / heads.FILE).unlink()
    assert [str(each) for each in verify(store)] == ["store: heads.log is gone; there are records it should name"]


def test_a_head_that_no_crash_kept_from_being_noted_is_named(store: Path) -> None:
    path = store / heads.FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    report = examine(store)
    assert ([each.record_id for each in report.findings], report.notices) == ([SECOND], [])


@pytest.mark.parametrize("made", ["nothing", "no database", "no file"])
def test_why_it_cannot_be_read_is_said_once_and_with_a_remedy(tmp_path: Path, made: str) -> None:
    if made == "no database":
        (tmp_path / "store.db").write_bytes(b"rubbish" * 100)
    elif made == "no file":
        (tmp_path / "store.db").mkdir()
    said = str(examine(tmp_path).unreadable)
    assert said.count(str(tmp_path)) == 1
    assert "; " in said
    assert "--store" in said


def test_no_store_is_unreadable_and_no_difference(tmp_path: Path) -> None:
    report = examine(tmp_path)
    assert (report.findings, report.ok) == ([], False)
    assert "there is no store" in str(report.unreadable)
    assert len(verify(tmp_path)) == 1


def _exported(folder: Path) -> list[Any]:
    with Reader.open(folder) as reader:
        return [reader.record(record_id) for record_id in (FIRST, SECOND)]


@pytest.mark.parametrize("used_bytes_only", [False, True])
def test_random_bit_flips_are_reported_or_harm_no_record(store: Path, used_bytes_only: bool) -> None:
    path = store / "store.db"
    good = path.read_bytes()
    records = _exported(store)
    places = np.flatnonzero(np.frombuffer(good, np.uint8)) if used_bytes_only else np.arange(len(good))
    rng = np.random.Generator(np.random.PCG64(2024))
    unreported = 0
    for place, bit in zip(rng.choice(places, 1000), rng.integers(0, 8, 1000), strict=True):
        data = bytearray(good)
        data[place] ^= 1 << int(bit)
        path.write_bytes(data)
        if verify(store) == []:
            unreported += 1
            assert _exported(store) == records, f"byte {place}, bit {bit}"
    assert unreported < (100 if used_bytes_only else 900)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 4095, 4096, 8192, 12_288])
def test_a_shortened_file_is_reported(store: Path, size: int) -> None:
    path = store / "store.db"
    path.write_bytes(path.read_bytes()[:size])
    assert verify(store) != []


def test_rubbish_is_reported(store: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    for _ in range(20):
        (store / "store.db").write_bytes(b"SQLite format 3\0" + rng.bytes(8176))
        (store / heads.FILE).write_bytes(rng.bytes(200))
        assert verify(store) != []


@pytest.mark.parametrize(
    ("step", "record_id", "said"),
    [
        ("identify", FIRST, None),
        ("precharge", FIRST, "step precharge was kept, but in record {} of this pack it is FAIL"),
        ("identify", "r-9", "step identify was kept, but in record {} of this pack it did not run"),
    ],
)
def test_a_step_that_was_kept_passed_in_the_record_named(
    tmp_path: Path, step: str, record_id: str, said: str | None
) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        first = journal.open_run(opened(FIRST))
        await tell(
            first, [event for event in good_story() if not (isinstance(event, Measured) and event.value == 50.125)]
        )
        first.append(StepFinished("precharge", Verdict.FAIL, "too low", 1.5, 2.0))
        await first.close(closed(Verdict.FAIL, "precharge"))
        second = journal.open_run(opened(SECOND, 2, "second look"))
        second.append(StepKept(step, record_id))
        await second.commit()
        journal.close()

    on_loop(main)
    found = [finding.what for finding in examine(tmp_path, [SECOND]).findings]
    assert found == ([] if said is None else [said.format(record_id)])
