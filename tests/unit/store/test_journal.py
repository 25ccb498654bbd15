"""The writer: durability, group commit, cancellation, failure, and what it refuses to open."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from bmsctl.domain.events import DispositionSet, Noted, StepStarted
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StoreError, StoreTooNew
from bmsctl.store.database import open_to_write
from bmsctl.store.heads import FILE as HEADS
from bmsctl.store.journal import Journal
from bmsctl.store.reader import Reader
from bmsctl.store.verify import verify
from tests.support.attempts import RECORD_ID, SERIAL, StoryClock, closed, good_run, on_loop, opened, store_of

T = TypeVar("T")


def _kinds(folder: Path) -> list[str]:
    """What a second connection finds durable."""
    with sqlite3.connect(f"file:{folder / 'store.db'}?mode=ro", uri=True) as connection:
        return [kind for (kind,) in connection.execute("SELECT kind FROM event ORDER BY run_id, seq")]


def test_commit_makes_durable_what_was_appended_and_nothing_before(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        assert _kinds(tmp_path) == []
        await log.commit()
        assert _kinds(tmp_path) == ["attempt_opened"]
        log.append(StepStarted("identify", 0.0))
        assert _kinds(tmp_path) == ["attempt_opened"]
        await log.commit()
        assert _kinds(tmp_path) == ["attempt_opened", "step_started"]
        journal.close()

    on_loop(main)


def test_a_commit_is_flushed_to_the_disk(tmp_path: Path) -> None:
    """kill -9 cannot show it: only FULL flushes the log before a commit returns."""
    connection = open_to_write(tmp_path)
    settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    connection.close()
    assert settings == ["wal", 2]


def test_close_returns_the_record_that_a_reader_finds(tmp_path: Path) -> None:
    (record,) = store_of(tmp_path)
    with Reader.open(tmp_path) as reader:
        assert reader.record(RECORD_ID[:-2] + "01") == record
    assert verify(tmp_path) == []


def test_the_same_events_make_the_same_bytes(tmp_path: Path) -> None:
    first, second = store_of(tmp_path / "a"), store_of(tmp_path / "b")
    assert first == second
    assert (tmp_path / "a" / HEADS).read_bytes() == (tmp_path / "b" / HEADS).read_bytes()


def test_commit_returns_the_head_at_the_call(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        first = await log.commit()
        assert await log.commit() == first
        log.append(Noted("a", "b"))
        record = await log.close(closed(Verdict.INVALID, "nothing measured"))
        assert record["events"]["n"] == 3
        assert first != record["events"]["head_sha256"]
        journal.close()

    on_loop(main)


class CountingClock(StoryClock):
    """Counts transactions; can make them slow, or run something while one is under way."""

    def __init__(self) -> None:
        self.commits = 0

    async def offload(self, fn: Callable[..., T], *args: object, cost_s: float) -> T:
        self.commits += 1
        return await super().offload(fn, *args, cost_s=cost_s)


def test_callers_of_one_moment_share_one_transaction(tmp_path: Path) -> None:
    async def main() -> None:
        clock = CountingClock()
        journal = Journal.open(tmp_path, clock)
        logs = [journal.open_run(opened(f"r-{n}", n)) for n in range(1, 9)]
        await asyncio.gather(*(log.commit() for log in logs))
        assert clock.commits == 1
        journal.close()

    on_loop(main)


def test_what_is_appended_during_a_transaction_goes_into_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        clock = CountingClock()
        journal = Journal.open(tmp_path, clock)
        log = journal.open_run(opened())
        first = asyncio.ensure_future(log.commit())
        await asyncio.sleep(0.001)
        log.append(Noted("during", ""))
        await asyncio.gather(first, log.commit())
        assert clock.commits == 2
        assert _kinds(tmp_path) == ["attempt_opened", "noted"]
        journal.close()

    on_loop(main)


def test_a_cancelled_caller_takes_nobody_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        one, two = (journal.open_run(opened(f"r-{n}", n)) for n in (1, 2))
        cancelled, kept = asyncio.ensure_future(one.commit()), asyncio.ensure_future(two.commit())
        await asyncio.sleep(0.001)
        cancelled.cancel()
        await kept
        assert cancelled.cancelled()
        await one.commit()
        assert _kinds(tmp_path) == ["attempt_opened", "attempt_opened"]
        journal.close()

    on_loop(main)


def test_closing_the_journal_writes_what_nobody_committed(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        log.append(Noted("last", "words"))
        journal.close()
        journal.close()
        with pytest.raises(StoreError, match="closed"):
            log.append(Noted("too", "late"))
        with pytest.raises(StoreError, match="closed"):
            await log.commit()

    on_loop(main)
    assert _kinds(tmp_path) == ["attempt_opened", "noted"]
    assert verify(tmp_path) == []


@pytest.mark.parametrize("during_s", [0.0, 0.001])
def test_closing_the_journal_while_a_transaction_is_acknowledged_loses_nothing(tmp_path: Path, during_s: float) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        waiting = asyncio.ensure_future(log.commit())
        await asyncio.sleep(during_s)
        log.append(Noted("last", "words"))
        journal.close()
        waiting.cancel()

    on_loop(main)
    assert _kinds(tmp_path) == ["attempt_opened", "noted"]
    assert verify(tmp_path) == []


@pytest.mark.parametrize("waiting", [1, 3])
def test_after_a_failed_write_everything_raises_and_what_was_acknowledged_is_there(
    tmp_path: Path, waiting: int
) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        await log.commit()
        # The disk is full: not one more page.
        journal._connection.execute("PRAGMA max_page_count = 1")
        log.add_trace("precharge", "noise", "V", 1.0, np.random.Generator(np.random.PCG64(1)).normal(size=4000))
        failures = await asyncio.gather(*(log.commit() for _ in range(waiting)), return_exceptions=True)
        assert all(isinstance(failure, StoreError) for failure in failures)
        assert "full" in str(failures[0])
        calls: list[Callable[[], Any]] = [
            lambda: log.append(Noted("a", "b")),
            lambda: journal.open_run(opened("r-2", 2)),
        ]
        for call in calls:
            with pytest.raises(StoreError, match="full"):
                call()
        with pytest.raises(StoreError, match="full"):
            await log.commit()
        with pytest.raises(StoreError, match="full"):
            await log.close(closed())
        journal.close()

    on_loop(main)
    assert _kinds(tmp_path) == ["attempt_opened"]
    assert verify(tmp_path) == []


def test_heads_that_cannot_be_written_fail_the_commit(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        (tmp_path / HEADS).unlink()
        (tmp_path / HEADS).mkdir()
        log = journal.open_run(opened())
        with pytest.raises(StoreError, match="directory"):
            await log.commit()
        journal.close()

    on_loop(main)


def test_a_closed_log_takes_a_disposition_only(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        await good_run(journal)
        log = journal.resume(RECORD_ID)
        with pytest.raises(StoreError, match="is closed"):
            log.append(Noted("a", "b"))
        log.append(DispositionSet("scrap", "m.meier", "dropped"))
        await log.commit()
        assert journal.attempts(SERIAL, "eol")[0].disposition == "scrap"
        journal.close()

    on_loop(main)
    assert verify(tmp_path) == []


def test_attempts_are_found_by_pack_and_station(tmp_path: Path) -> None:
    store_of(tmp_path, attempts=3)

    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        found = journal.attempts(SERIAL, "eol")
        assert [(each.attempt, each.verdict, each.disposition) for each in found] == [
            (n, "PASS", "release") for n in (1, 2, 3)
        ]
        assert journal.attempts(SERIAL, "stacking") == []
        assert journal.attempts("other", "eol") == []
        with pytest.raises(StoreError, match="no record"):
            journal.resume("other")
        journal.close()

    on_loop(main)


def test_an_event_that_json_cannot_say_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        with pytest.raises(ValueError, match="JSON"):
            log.append(StepStarted("identify", float("nan")))
        with pytest.raises(ValueError, match="one dimension"):
            log.add_trace("identify", "cells", "V", None, np.zeros((2, 2)))
        log.append(StepStarted("identify", 0.0))
        await log.commit()
        journal.close()

    on_loop(main)
    assert verify(tmp_path) == []


def test_a_trace_is_what_it_was_when_it_was_added(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        log.append(StepStarted("identify", 0.0))
        data = np.arange(5.0)
        log.add_trace("identify", "cells", "V", None, data)
        data[:] = 0.0
        await log.commit()
        journal.close()

    on_loop(main)
    assert verify(tmp_path) == []
    with sqlite3.connect(tmp_path / "store.db") as connection:
        (blob,) = connection.execute("SELECT data FROM trace").fetchone()
    assert np.frombuffer(blob, "<f8").tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _refused(folder: Path, error: type[StoreError], match: str) -> None:
    """Opening raises, and the store's files are as they were."""
    before = _files(folder)
    with pytest.raises(error, match=match):
        Journal.open(folder, StoryClock())
    after = _files(folder)
    after.pop("lock", None)
    before.pop("lock", None)
    assert after == before


def test_a_store_has_one_writer(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, StoryClock())
    with pytest.raises(StoreError, match="in use"):
        Journal.open(tmp_path, StoryClock())
    script = (
        "import sys\nfrom pathlib import Path\nfrom bmsctl.errors import StoreError\n"
        "from bmsctl.store.journal import Journal\n"
        "try:\n    Journal.open(Path(sys.argv[1]), None)\nexcept StoreError as error:\n    sys.exit(str(error))"
    )
    other = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert "in use" in other.stderr
    journal.close()
    Journal.open(tmp_path, StoryClock()).close()


def test_a_foreign_database_is_refused_untouched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("CREATE TABLE event (a)")
    _refused(tmp_path, StoreError, "not a store")


def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"PK\x03\x04" * 300)
    _refused(tmp_path, StoreError, "not a database; restore the folder from a backup")


@pytest.mark.parametrize("revision", ["9999", ""])
def test_a_newer_store_is_refused_untouched(tmp_path: Path, revision: str) -> None:
    store_of(tmp_path)
    with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    _refused(tmp_path, StoreTooNew, "update bmsctl")


@pytest.mark.parametrize("size", [100, 5000, 20_000])
def test_a_truncated_store_is_refused_untouched(tmp_path: Path, size: int) -> None:
    store_of(tmp_path)
    path = tmp_path / "store.db"
    path.write_bytes(path.read_bytes()[:size])
    _refused(tmp_path, StoreError, "cannot be opened.*restore")


@pytest.mark.parametrize("how", ["emptied", "older copy"])
def test_a_database_behind_its_heads_is_refused(tmp_path: Path, how: str) -> None:
    store_of(tmp_path / "old")
    store_of(tmp_path / "new", attempts=2)
    path = tmp_path / "new" / "store.db"
    path.write_bytes((tmp_path / "old" / "store.db").read_bytes() if how == "older copy" else b"")
    with pytest.raises(StoreError, match="restore"):
        Journal.open(tmp_path / "new", StoryClock())
    assert verify(tmp_path / "new") != []


def test_a_place_that_cannot_hold_a_store_is_named() -> None:
    with pytest.raises(StoreError, match=r"/proc/none.*may be written.*--store"):
        Journal.open(Path("/proc/none"), StoryClock())


def test_a_database_that_cannot_be_opened_comes_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    with pytest.raises(StoreError, match="see that the folder may be written"):
        Journal.open(tmp_path, StoryClock())


def test_a_read_only_store_is_refused_untouched() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        store_of(folder)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        for path in (*folder.iterdir(), folder):
            path.chmod(0o555 if path.is_dir() else 0o444)
        Path(name).chmod(0o755)
        assert opened_as_nobody(folder) == 0
        folder.chmod(0o755)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def opened_as_nobody(folder: Path) -> int:
    """Exit code of a process without rights that opens the store: 0 refused with a remedy, 1 without, 2 opened."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            Journal.open(folder, StoryClock())
        except StoreError as error:
            code = 0 if "may be written" in str(error) and str(folder) in str(error) else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_refused_store_is_not_left_locked(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"rubbish" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Journal.open(tmp_path, StoryClock())
    (tmp_path / "store.db").unlink()
    Journal.open(tmp_path, StoryClock()).close()
