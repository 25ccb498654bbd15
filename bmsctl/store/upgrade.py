"""Bring a database to the newest schema with Alembic. Imported only when there is something to migrate."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config


def alembic_config(connection: sqlalchemy.Connection) -> Config:
    """Alembic's configuration for the database behind `connection`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(database: Path) -> None:
    """Migrate the SQLite file to the head revision, in one transaction.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it cannot be migrated; nothing was changed.
    """
    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    try:
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), "head")
    finally:
        engine.dispose()
