"""Reading beside a writer, after a crash, from a bare copy: always the same, and never a trace left behind."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bmsctl.domain.events import DispositionSet
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StoreError, StoreTooNew
from bmsctl.store.journal import Journal
from bmsctl.store.reader import Reader
from bmsctl.store.verify import examine
from tests.support.attempts import RECORD_ID, SERIAL, StoryClock, closed, good_run, on_loop, opened, store_of

KILLED = """
import os, signal, sys
from pathlib import Path
from bmsctl.store.journal import Journal
from tests.support.attempts import StoryClock, good_run, on_loop

async def main():
    journal = Journal.open(Path(sys.argv[1]), StoryClock())
    await good_run(journal)
    os.kill(os.getpid(), signal.SIGKILL)

on_loop(main)
"""


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _look(folder: Path) -> tuple[int, Any, bool]:
    with Reader.open(folder) as reader:
        record = reader.find(SERIAL)
        assert record is not None
        return len(reader.attempts()), record["events"], examine(folder).ok


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose writer was killed after the last commit: everything is in the write-ahead log."""
    folder = tmp_path_factory.mktemp("killed") / "store"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=root, check=False)
    assert done.returncode == -9
    assert (folder / "store.db-wal").stat().st_size > 0
    return folder


def test_reading_a_closed_store_changes_nothing(tmp_path: Path) -> None:
    (record,) = store_of(tmp_path)
    before = _files(tmp_path)
    assert _look(tmp_path) == (1, record["events"], True)
    assert _files(tmp_path) == before


def test_reading_after_a_crash_sees_every_commit_and_changes_nothing(tmp_path: Path, killed: Path) -> None:
    folder = Path(shutil.copytree(killed, tmp_path / "store"))
    before = _files(folder)
    (expected,) = store_of(tmp_path / "other")
    n, events, ok = _look(folder)
    assert (n, events["n"], ok) == (1, expected["events"]["n"], True)
    assert _files(folder) == before


def test_reading_a_copy_without_the_index_of_the_log(tmp_path: Path, killed: Path) -> None:
    folder = Path(shutil.copytree(killed, tmp_path / "store"))
    (folder / "store.db-shm").unlink()
    before = _files(folder)
    assert _look(folder)[2]
    assert _files(folder) == before


def test_reading_beside_a_living_writer_sees_what_is_durable(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        record = await good_run(journal)
        journal.open_run(opened("r-2", 2))
        assert _look(tmp_path) == (1, record["events"], True)
        journal.close()

    on_loop(main)


def test_a_killed_store_opens_again_with_everything(tmp_path: Path, killed: Path) -> None:
    folder = Path(shutil.copytree(killed, tmp_path / "store"))
    Journal.open(folder, StoryClock()).close()
    assert _look(folder)[2]


def test_records_are_found_by_id_serial_and_attempt(tmp_path: Path) -> None:
    records = store_of(tmp_path, attempts=3)
    with Reader.open(tmp_path) as reader:
        assert reader.find(SERIAL) == records[2]
        assert reader.find(SERIAL, 2) == records[1]
        assert reader.find(records[0]["record_id"]) == records[0]
        assert reader.record(records[0]["record_id"]) == records[0]
        assert reader.find(SERIAL, 4) is None
        assert reader.find("other") is None
        assert reader.record(SERIAL) is None
        assert [each.attempt for each in reader.attempts()] == [1, 2, 3]


def test_an_empty_store_has_no_records(tmp_path: Path) -> None:
    Journal.open(tmp_path, StoryClock()).close()
    with Reader.open(tmp_path) as reader:
        assert reader.attempts() == []
    assert examine(tmp_path).ok


@pytest.mark.parametrize("name", ["nowhere", "a?b#c%20d"])
def test_no_store_is_named_and_none_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="there is no store"), Reader.open(tmp_path / name):
        pass
    assert list(tmp_path.iterdir()) == []


def test_odd_characters_in_the_folder_are_no_options(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c%20d"
    store_of(folder)
    assert _look(folder)[2]


def test_a_damaged_record_is_not_shown(tmp_path: Path) -> None:
    store_of(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE event SET t_s = 1.0 WHERE seq = 5")
    with Reader.open(tmp_path) as reader, pytest.raises(StoreError, match="damaged at event 5"):
        reader.record(RECORD_ID[:-2] + "01")


def test_a_newer_store_is_not_read(tmp_path: Path) -> None:
    store_of(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreTooNew, match="9999"), Reader.open(tmp_path):
        pass


def test_everything_read_is_of_one_moment(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        await log.commit()
        with Reader.open(tmp_path) as reader:
            assert reader.attempts()[0].verdict is None
            await log.close(closed(Verdict.INVALID, "nothing measured"))
            record = reader.record(RECORD_ID)
            assert record is not None
            assert record["verdict"] is None
        journal.close()

    on_loop(main)


def test_a_database_without_tables_is_empty(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    with pytest.raises(StoreError, match="empty"), Reader.open(tmp_path):
        pass
    assert examine(tmp_path).ok


@pytest.mark.parametrize("changed", ["verdict = 'FAIL', disposition = 'hold'", "verdict = NULL", "ended_at = ''"])
def test_how_an_attempt_ended_is_what_its_events_say(tmp_path: Path, changed: str) -> None:
    (record,) = store_of(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute(f"UPDATE run SET {changed}")
    with Reader.open(tmp_path) as reader:
        (attempt,) = reader.attempts()
    for name in ("verdict", "disposition", "ended_at"):
        assert getattr(attempt, name) == record[name]


def test_a_disposition_set_later_is_listed(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        await good_run(journal)
        log = journal.resume(RECORD_ID)
        for disposition in ("rework", "scrap"):
            log.append(DispositionSet(disposition, "m.meier", "dropped"))
        await log.commit()
        journal.close()

    on_loop(main)
    with Reader.open(tmp_path) as reader:
        (attempt,) = reader.attempts()
    assert (attempt.verdict, attempt.disposition) == ("PASS", "scrap")


def test_a_tampered_row_reopens_no_attempt(tmp_path: Path) -> None:
    store_of(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE run SET verdict = NULL")
    journal = Journal.open(tmp_path, StoryClock())
    assert journal.open_attempts("eol") == []
    journal.close()
