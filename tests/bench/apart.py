"""Durability apart: the same writes to the same files, but the disk is not waited for."""

from __future__ import annotations

import functools
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Unsynced(sqlite3.Connection):
    """A connection that writes as asked and never calls fsync."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        super().execute("PRAGMA synchronous = OFF")

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        return super().execute("PRAGMA synchronous = OFF" if sql == "PRAGMA synchronous = FULL" else sql, *arguments)


@contextmanager
def without_fsync() -> Iterator[None]:
    """Inside, neither SQLite nor anything else calls fsync."""
    fsync, connect = os.fsync, sqlite3.connect
    os.fsync, sqlite3.connect = lambda descriptor: None, functools.partial(connect, factory=Unsynced)  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync, sqlite3.connect = fsync, connect
