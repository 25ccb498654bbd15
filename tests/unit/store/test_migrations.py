"""The schema has three spellings (metadata, migrations, DDL) and one meaning."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql

from bmsctl.errors import StoreError
from bmsctl.store.database import open_to_write
from bmsctl.store.ddl import DDL, REVISIONS
from bmsctl.store.reader import Reader
from bmsctl.store.schema import metadata
from bmsctl.store.upgrade import MIGRATIONS, alembic_config, upgrade
from tests.support.attempts import store_of


def _tables(path: Path) -> dict[str, str]:
    """Every table and index with its SQL, spaces squeezed."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return {name: re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", sql)).strip() for name, sql in found}


@contextmanager
def _migrating(path: Path) -> Iterator[sqlalchemy.Connection]:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_a_new_store_is_what_the_migrations_make(tmp_path: Path) -> None:
    open_to_write(tmp_path).close()
    upgrade(tmp_path / "migrated.db")
    made, migrated = _tables(tmp_path / "store.db"), _tables(tmp_path / "migrated.db")
    assert made == migrated
    assert set(made) == {"alembic_version", "run", "ix_run_pack_serial_station_attempt", "event", "trace"}


def test_the_migrations_make_what_the_metadata_says(tmp_path: Path) -> None:
    upgrade(tmp_path / "store.db")
    with _migrating(tmp_path / "store.db") as connection:
        command.check(alembic_config(connection))


def test_check_would_find_a_difference(tmp_path: Path) -> None:
    upgrade(tmp_path / "store.db")
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("ALTER TABLE run ADD COLUMN colour TEXT")
    with (
        _migrating(tmp_path / "store.db") as connection,
        pytest.raises(Exception, match="New upgrade operations detected"),
    ):
        command.check(alembic_config(connection))


def test_the_known_revisions_are_those_of_the_scripts(tmp_path: Path) -> None:
    with _migrating(tmp_path / "any.db") as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
        assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def test_down_and_up_again_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    upgrade(path)
    before = _tables(path)
    with _migrating(path) as connection:
        command.downgrade(alembic_config(connection), "base")
    assert set(_tables(path)) == {"alembic_version"}
    upgrade(path)
    assert _tables(path) == before


SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


def upgrade():
    with op.batch_alter_table("run") as batch:
        batch.add_column(sa.Column("colour", sa.Text()))
    {then}
"""


@pytest.fixture
def second_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scripts with a revision more; where its script goes."""
    shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    monkeypatch.setattr("bmsctl.store.upgrade.MIGRATIONS", tmp_path / "migrations")
    monkeypatch.setattr("bmsctl.store.database.REVISIONS", (*REVISIONS, "0002"))
    return tmp_path / "migrations" / "versions" / "0002_colour.py"


def test_an_older_store_is_migrated_when_it_is_opened(tmp_path: Path, second_revision: Path) -> None:
    (record,) = store_of(tmp_path / "store")
    second_revision.write_text(SECOND.format(then="pass"))
    open_to_write(tmp_path / "store").close()
    assert "colour TEXT" in _tables(tmp_path / "store" / "store.db")["run"]
    with Reader.open(tmp_path / "store") as reader:
        assert reader.record(record["record_id"]) == record


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, second_revision: Path) -> None:
    store_of(tmp_path / "store")
    path = tmp_path / "store" / "store.db"
    before = _tables(path)
    second_revision.write_text(SECOND.format(then="op.execute('no such statement')"))
    with pytest.raises(StoreError, match="nothing was changed"):
        open_to_write(tmp_path / "store")
    assert _tables(path) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]


def test_every_table_exists_for_postgresql_too() -> None:
    for table in metadata.sorted_tables:
        sql = str(sqlalchemy.schema.CreateTable(table).compile(dialect=postgresql.dialect()))
        assert "STRICT" not in sql
        assert not re.search(r"\bREAL\b|\bBLOB\b", sql)


def test_every_table_of_the_ddl_is_strict() -> None:
    tables = [statement for statement in DDL if "CREATE TABLE" in statement and "alembic_version" not in statement]
    assert len(tables) == len(metadata.tables)
    assert all("STRICT" in statement for statement in tables)
