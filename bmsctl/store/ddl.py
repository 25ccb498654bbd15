"""What a new SQLite store is made of, so that opening one needs neither SQLAlchemy nor Alembic.

A test holds this equal to what the migrations make of an empty file.
"""

from __future__ import annotations

REVISIONS = ("0001",)
"""Every revision there has been, oldest first; the last is the one `DDL` makes."""

DDL = (
    """
    CREATE TABLE alembic_version (
        version_num VARCHAR(32) NOT NULL,
        CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
    )
    """,
    """
    CREATE TABLE run (
        id INTEGER NOT NULL,
        record_id TEXT NOT NULL,
        pack_serial TEXT,
        pack TEXT NOT NULL,
        station TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,
        verdict TEXT,
        disposition TEXT,
        CONSTRAINT pk_run PRIMARY KEY (id),
        CONSTRAINT uq_run_record_id UNIQUE (record_id)
    ) STRICT
    """,
    "CREATE UNIQUE INDEX ix_run_pack_serial_station_attempt ON run (pack_serial, station, attempt)",
    """
    CREATE TABLE event (
        run_id INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        t_s REAL,
        utc_s REAL NOT NULL,
        utc_quality TEXT NOT NULL,
        payload TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        CONSTRAINT pk_event PRIMARY KEY (run_id, seq),
        CONSTRAINT fk_event_run_id FOREIGN KEY(run_id) REFERENCES run (id)
    ) STRICT
    """,
    """
    CREATE TABLE trace (
        run_id INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        data BLOB NOT NULL,
        CONSTRAINT pk_trace PRIMARY KEY (run_id, seq),
        CONSTRAINT fk_trace_run_id_seq FOREIGN KEY(run_id, seq) REFERENCES event (run_id, seq)
    ) STRICT
    """,
    f"INSERT INTO alembic_version VALUES ('{REVISIONS[-1]}')",
)
