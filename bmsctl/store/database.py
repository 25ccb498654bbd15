"""The SQLite file of a store: created, checked, opened to write or to read."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bmsctl.errors import StoreError, StoreTooNew
from bmsctl.store.ddl import DDL, REVISIONS
from bmsctl.store.folder import sync_names

FILE = "store.db"
ASIDE = "have someone answerable set the folder aside and begin a new store with --store"
"""What to do about a damaged store that cannot be restored."""

_NO_ACCESS = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)
"""SQLite's codes that blame the place and not the file's content."""


PAGE_BYTES = 8192
"""Two of these hold the events of a step, so a commit writes few pages."""


def open_to_write(folder: Path) -> sqlite3.Connection:
    """Open the store's database, made or migrated as needed; every commit is durable on return.

    Raises:
        StoreError, StoreTooNew: not a store, or newer than this program; nothing was changed.
        sqlite3.Error, OSError: the file cannot be used.
    """
    path = folder / FILE
    connection = _connect(path)
    try:
        revision = revision_of(connection, folder)
        if revision not in (None, REVISIONS[-1]):
            from bmsctl.store.upgrade import upgrade

            connection.close()
            upgrade(path)
            connection = _connect(path)
        if revision is None:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        # WAL with FULL: a commit is in the log, flushed, before it is acknowledged.
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise StoreError(f"{path}: the file system cannot keep a write-ahead log; use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if revision is None:
            _create(connection)
            sync_names(folder)
            sync_names(folder.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def revision_of(connection: sqlite3.Connection, folder: Path) -> str | None:
    """The revision of the database in `folder`; None for an empty one.

    Raises:
        StoreError: not a store of bmsctl.
        StoreTooNew: a revision this program does not know.
    """
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
    if not names:
        return None
    if "alembic_version" not in names or "event" not in names:
        raise StoreError(f"{folder}: {FILE} is not a store of bmsctl; name another folder with --store")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    revision = row[0] if row else None
    if revision not in REVISIONS:
        raise StoreTooNew(
            f"{folder}: the store has schema {revision}, this bmsctl knows {REVISIONS[-1]}; update bmsctl"
        )
    return str(revision)


@contextmanager
def open_to_read(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the database beside any writer, creating and changing nothing; everything read is of one moment.

    Raises:
        StoreError: there is none.
    """
    path = folder / FILE
    if not path.exists():
        raise StoreError(f"{folder}: there is no store; name its folder with --store or BMSCTL_STORE")
    log, index = (path.with_name(FILE + suffix) for suffix in ("-wal", "-shm"))
    if not has_log(folder):
        # No log, so no writer: without `immutable` SQLite would create one.
        with closing(_snapshot(path, "mode=ro&immutable=1")) as connection:
            yield connection
    elif index.exists():
        with closing(_snapshot(path, "mode=ro&readonly_shm=1")) as connection:
            yield connection
    else:
        # A copied store may come without the log's index; SQLite would rebuild it in place.
        with tempfile.TemporaryDirectory(prefix="bmsctl-") as copy:
            for file in (path, log):
                shutil.copy(file, copy)
            with closing(_snapshot(Path(copy) / FILE, "mode=ro")) as connection:
                yield connection


def has_log(folder: Path) -> bool:
    """Whether the database has a write-ahead log: someone is writing, or did not come to close it."""
    try:
        return (folder / f"{FILE}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def close(connection: sqlite3.Connection, folder: Path, *, keep_log: bool) -> None:
    """Close a database open to write; `keep_log` leaves it as a crash would. Raises sqlite3.Error."""
    if not keep_log:
        connection.close()
        return
    try:
        # The last to close deletes the log, unless it may not write.
        with closing(_snapshot(folder / FILE, "mode=ro")) as last:
            last.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            connection.close()
    finally:
        connection.close()


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the errors of file system and SQLite into StoreError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{what}: {error}; {_remedy(error)}") from error


def _remedy(error: OSError | sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if isinstance(error, OSError) or code in _NO_ACCESS:
        return "see that the folder may be written and its disk is not full, or name another with --store"
    return f"restore the folder from a backup, or {ASIDE}"


def _connect(path: Path) -> sqlite3.Connection:
    # Commits may run on a worker thread, one at a time.
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _snapshot(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?{options}", uri=True, isolation_level=None)
    connection.execute("BEGIN")
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in DDL:
        connection.execute(statement)
    connection.execute("COMMIT")
