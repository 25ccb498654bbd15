"""Bring a database to the newest schema with Alembic. Imported only when there is something to migrate."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from bmsctl.errors import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(connection: sqlalchemy.Connection) -> Config:
    """Alembic's configuration for the database behind `connection`."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(database: Path) -> None:
    """Migrate the SQLite file to the head revision, in one transaction.

    Raises:
        StoreError: it cannot be migrated; nothing was changed.
    """
    # Left to itself the driver commits before every DDL statement; a crash would leave half a schema.
    engine = sqlalchemy.create_engine("sqlite://", creator=lambda: sqlite3.connect(database, isolation_level=None))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            command.upgrade(alembic_config(connection), "head")
            connection.commit()
    except (SQLAlchemyError, CommandError) as error:
        raise StoreError(f"{database}: cannot be migrated: {error}; nothing was changed") from error
    finally:
        engine.dispose()
