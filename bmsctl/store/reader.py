"""Records read from a store, beside its writer or without one. Nothing is created or changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bmsctl.domain.attempts import Attempt
from bmsctl.domain.events import AttemptOpened
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.record import fold
from bmsctl.errors import StoreError
from bmsctl.store import database, heads, rows
from bmsctl.store.noting import refuse_lost

if TYPE_CHECKING:
    from bmsctl.domain.traces import Traces


_NEWEST = "SELECT max(utc_s) FROM event JOIN run ON run.id = event.run_id WHERE run.record_id = ?"


class Told(NamedTuple):
    """A record, the recipe it was judged by, and its traces."""

    record: dict[str, Any]
    recipe: Recipe
    traces: Traces


class Reader:
    """A store as it is at one moment. Every method raises StoreError where the file cannot be read."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self._what = f"{folder}: the store cannot be read"
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Reader]:
        """Open the store in `folder`.

        Raises:
            StoreError, StoreTooNew: there is none, or it cannot be read.
        """
        with database.explained(f"{folder}: the store cannot be read"):
            if not (folder / database.FILE).exists():
                refuse_lost(folder, heads.read(folder)[0])
            with database.open_to_read(folder) as connection:
                if database.revision_of(connection, folder) is None:
                    refuse_lost(folder, heads.read(folder)[0])
                    raise StoreError(f"{folder}: the store is empty; nothing has been recorded yet")
                yield cls(folder, connection)

    def attempts(self) -> list[Attempt]:
        """Every attempt in the order they were opened."""
        with database.explained(self._what):
            return rows.attempts(self._connection)

    def record(self, record_id: str) -> dict[str, Any] | None:
        """The record with this id, None if there is none; raises StoreError if it is damaged."""
        stored = self._run(record_id)
        return None if stored is None else self._folded(record_id, stored)

    def newest_s(self, record_id: str) -> float | None:
        """When the newest event of a record was logged, wall time in s since 1970; None if there is no such record."""
        with database.explained(self._what):
            (newest,) = self._connection.execute(_NEWEST, (record_id,)).fetchone()
            return None if newest is None else float(newest)

    def told(self, record_id: str) -> Told:
        """A record that is there, with the recipe it was judged by and its traces; raises as `record`."""
        from bmsctl.store import traces

        stored = self._run(record_id)
        if stored is None:
            raise StoreError(f"there is no record {record_id}")
        record = self._folded(record_id, stored)
        opened = stored.events[0]
        assert isinstance(opened, AttemptOpened)
        try:
            recipe = Recipe.from_json(opened.recipe)
        except ValueError as error:
            raise StoreError(f"record {record_id}: its recipe cannot be read: {error}") from error
        with database.explained(self._what):
            return Told(record, recipe, traces.load(self._connection, stored, record_id))

    def _run(self, record_id: str) -> rows.StoredRun | None:
        with database.explained(self._what):
            return rows.load_run(self._connection, record_id)

    def _folded(self, record_id: str, stored: rows.StoredRun) -> dict[str, Any]:
        try:
            return fold(stored.events, stored.head_sha256)
        except (ValueError, LookupError) as error:
            raise StoreError(f"record {record_id} cannot be folded: {error}; run `bmsctl records verify`") from error

    def find(self, key: str, attempt: int | None = None, station: str | None = None) -> dict[str, Any] | None:
        """The record with this id, else the newest of the pack with this serial; of its `attempt` and at the `station`
        if these are given."""
        with database.explained(self._what):
            found = rows.attempts(self._connection, "record_id = ? OR pack_serial = ?", key, key)
        wanted = [each for each in found if attempt in (None, each.attempt) and station in (None, each.station)]
        return self.record(wanted[-1].record_id) if wanted else None
