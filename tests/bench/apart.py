"""Durability apart: the same writes to the same files, but the disk is not waited for."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bmsctl.store import database


@contextmanager
def without_fsync() -> Iterator[None]:
    """Inside, neither SQLite nor the file of heads calls fsync."""
    fsync, open_to_write = os.fsync, database.open_to_write

    def opened(folder: Path) -> sqlite3.Connection:
        connection = open_to_write(folder)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    os.fsync, database.open_to_write = lambda descriptor: None, opened
    try:
        yield
    finally:
        os.fsync, database.open_to_write = fsync, open_to_write
