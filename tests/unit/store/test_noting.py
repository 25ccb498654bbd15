"""A store whose heads and database tell of different runs is not written to, and keeps what shows why."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StoreError
from bmsctl.store import heads, noting
from bmsctl.store.database import open_to_write
from bmsctl.store.journal import Journal
from bmsctl.store.noting import Noting, unexplained
from bmsctl.store.reader import Reader
from bmsctl.store.verify import examine
from tests.support.attempts import RECORD_ID, StoryClock, closed, good_run, on_loop, opened, store_of

FIRST, SECOND, THIRD = (f"{RECORD_ID[:-2]}{n:02}" for n in (1, 2, 3))


def _killed(folder: Path) -> None:
    """A store of three attempts, the third open, whose writer was killed."""

    async def main() -> None:
        journal = Journal.open(folder, StoryClock())
        await good_run(journal, FIRST, 1)
        await good_run(journal, SECOND, 2)
        await journal.open_run(opened(THIRD, 3, "audit")).commit()
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        on_loop(main)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("noting")
    store_of(root / "clean", attempts=3)
    _killed(root / "killed")
    return {"clean": root / "clean", "killed": root / "killed"}


@pytest.fixture
def clean(tmp_path: Path, made: dict[str, Path]) -> Path:
    return Path(shutil.copytree(made["clean"], tmp_path / "store"))


@pytest.fixture
def killed(tmp_path: Path, made: dict[str, Path]) -> Path:
    return Path(shutil.copytree(made["killed"], tmp_path / "store"))


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def _refused(folder: Path, match: str) -> None:
    before = _files(folder)
    for _ in range(2):
        with pytest.raises(StoreError, match=match) as caught:
            Journal.open(folder, StoryClock())
        assert str(folder) in str(caught.value)
        assert "restore" in str(caught.value)
    assert _files(folder) == before


def _delete(folder: Path, run_id: int) -> None:
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
        for table, key in (("trace", "run_id"), ("event", "run_id"), ("run", "id")):
            connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (run_id,))


def _lines(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = folder / heads.FILE
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def _one_head_wrong(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"]', b'0"]'), *lines[1:]]


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_run_deleted_together_with_the_heads(clean: Path, gone: int) -> None:
    _delete(clean, gone)
    (clean / heads.FILE).unlink()
    _refused(clean, r"heads.log is gone")
    assert not examine(clean).ok


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_run_deleted_that_the_heads_name(clean: Path, gone: int) -> None:
    _delete(clean, gone)
    _refused(clean, rf"lacks event 1 of record {RECORD_ID[:-2]}0{gone}")


@pytest.mark.parametrize("keep", range(6))
def test_heads_cut_short(clean: Path, keep: int) -> None:
    _lines(clean, lambda lines: lines[:keep])
    _refused(clean, "lacks the newest head")
    assert not examine(clean).ok
    assert examine(clean).notices == []


@pytest.mark.parametrize(("bad", "line"), [(b"hello\n", 7), (b'["r-1",1]\n', 7)])
def test_heads_with_a_damaged_line(clean: Path, bad: bytes, line: int) -> None:
    _lines(clean, lambda lines: [*lines, bad])
    _refused(clean, f"line {line} is damaged")


def test_a_head_that_is_not_the_last_and_another_hash(clean: Path) -> None:
    _lines(clean, _one_head_wrong)
    _refused(clean, f"lacks event 1 of record {FIRST}")


def test_a_middle_run_that_the_heads_do_not_name(clean: Path) -> None:
    _lines(clean, lambda lines: [*lines[:2], *lines[4:]])
    _refused(clean, f"newest head of record {SECOND}")
    assert [each.record_id for each in examine(clean).findings] == [SECOND]


def test_an_unfinished_line_is_dropped(clean: Path) -> None:
    before = (clean / heads.FILE).read_bytes()
    _lines(clean, lambda lines: [*lines, b'["r-'])
    Journal.open(clean, StoryClock()).close()
    assert (clean / heads.FILE).read_bytes() == before


@pytest.mark.parametrize("keep", [4, 5])
def test_what_a_crash_leaves_is_completed_as_the_notice_says(killed: Path, keep: int) -> None:
    whole = (killed / heads.FILE).read_bytes()
    _lines(killed, lambda lines: [*lines[:keep], b'["018'])
    assert examine(killed).ok
    Journal.open(killed, StoryClock()).close()
    assert (killed / heads.FILE).read_bytes() == whole
    assert "not in heads.log" not in str(examine(killed))


def test_an_end_that_a_crash_kept_from_being_noted(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = journal.open_run(opened())
        await log.commit()
        (tmp_path / heads.FILE).rename(tmp_path / "kept")
        (tmp_path / heads.FILE).mkdir()
        with pytest.raises(StoreError, match="directory"):
            await log.close(closed(Verdict.INVALID, "nothing measured"))
        journal.close()

    on_loop(main)
    (tmp_path / heads.FILE).rmdir()
    (tmp_path / "kept").rename(tmp_path / heads.FILE)
    (notice,) = examine(tmp_path).notices
    assert (examine(tmp_path).ok, notice.what.partition(";")[2]) == (True, " the next start of the station adds it")
    Journal.open(tmp_path, StoryClock()).close()
    report = examine(tmp_path)
    assert (report.ok, report.notices) == (True, [])
    assert not (tmp_path / "store.db-wal").exists()


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_after_a_crash_more_than_its_last_transaction_may_not_be_unnoted(killed: Path, keep: int) -> None:
    _lines(killed, lambda lines: lines[:keep])
    _refused(killed, "lacks the newest head")
    assert not examine(killed).ok


def test_a_crash_does_not_take_the_heads(killed: Path) -> None:
    (killed / heads.FILE).unlink()
    _refused(killed, "heads.log is gone")


def test_an_attempt_that_ended_at_once_has_its_opening_noted_before(tmp_path: Path) -> None:
    """Else a crash could leave a whole run unnoted, as a cut of the heads does."""

    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        batches: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(heads, "append", lambda _, new: batches.append(len(new)))
            await journal.open_run(opened()).close(closed(Verdict.INVALID, "nothing measured"))
        assert batches == [1, 1]
        journal.close()

    on_loop(main)


@pytest.mark.parametrize("what", ["gone", "emptied"])
def test_a_lost_database_is_not_begun_anew(clean: Path, what: str) -> None:
    path = clean / "store.db"
    path.unlink() if what == "gone" else path.write_bytes(b"")
    _refused(clean, "gone or empty, though heads.log names records")
    with pytest.raises(StoreError, match=r"heads.log names records.*restore"), Reader.open(clean):
        pass
    assert not examine(clean).ok


def test_the_rule() -> None:
    """By hand: (closed, noted of 5 events) of runs in order, and which of them a crash explains."""
    cases: list[tuple[list[tuple[bool, int]], list[int], list[int]]] = [
        ([(True, 5), (False, 1)], [], []),
        ([(True, 5), (True, 1), (False, 0), (False, 0)], [1, 2, 3], []),
        ([(True, 0)], [0], [0]),
        ([(False, 0), (False, 1)], [0], [0]),
    ]
    for spec, at_rest, crashed in cases:
        runs = [Noting(str(place), 5, closed, noted) for place, (closed, noted) in enumerate(spec)]
        assert [int(run.record_id) for run in unexplained(runs, False)] == at_rest
        assert [int(run.record_id) for run in unexplained(runs, True)] == crashed


def test_ten_thousand_runs_are_compared_fast(tmp_path: Path) -> None:
    columns = "run_id, seq, kind, utc_s, utc_quality, payload, sha256"
    with closing(open_to_write(tmp_path)) as connection:
        connection.execute("BEGIN")
        for run in range(1, 10_001):
            connection.execute(
                "INSERT INTO run VALUES (?, ?, ?, 'AS52', 'eol', 1, '', NULL, NULL, NULL)", (run, f"r-{run}", f"{run}")
            )
            for seq, kind in ((1, "attempt_opened"), (2, "noted"), (3, "attempt_closed")):
                row = (run, seq, kind, 0.0, "free", "x" * 200, f"{run * 4 + seq:064x}")
                connection.execute(f"INSERT INTO event ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.execute("COMMIT")
    heads.append(
        tmp_path, [heads.Head(f"r-{run}", seq, f"{run * 4 + seq:064x}") for run in range(1, 10_001) for seq in (1, 3)]
    )
    took_s = []
    for _ in range(5):
        began_s = time.process_time()
        assert noting.unnoted(tmp_path) == []
        took_s.append(time.process_time() - began_s)
    assert min(took_s) < 0.2
