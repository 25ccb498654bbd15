"""The tables, for Alembic and for any other database: STRICT on SQLite, nothing SQLite-only elsewhere.

The hot path does not import this module; `ddl` holds what it makes.
"""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# STRICT tables know REAL (8 bytes) but not DOUBLE; elsewhere REAL has 4 bytes.
Real: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")

metadata = MetaData(naming_convention=NAMING)

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("record_id", Text, nullable=False, unique=True),
    Column("pack_serial", Text),
    Column("pack", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("ended_at", Text),
    Column("verdict", Text),
    Column("disposition", Text),
    Index(None, "pack_serial", "station", "attempt", unique=True),
    sqlite_strict=True,
)
"""One row a run, to be found by; every column repeats what its events say."""

event = Table(
    "event",
    metadata,
    Column("run_id", ForeignKey("run.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("t_s", Real),
    Column("utc_s", Real, nullable=False),
    Column("utc_quality", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    sqlite_strict=True,
)
"""The journal: `sha256` covers all columns of the row and the `sha256` of the row before it in the run."""

trace = Table(
    "trace",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    ForeignKeyConstraint(["run_id", "seq"], ["event.run_id", "event.seq"]),
    sqlite_strict=True,
)
"""Samples of the trace that event (run_id, seq) records and hashes."""
