"""Runs, their events and their traces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

REAL: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("pack_serial", sa.Text(), nullable=True),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("disposition", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("record_id", name=op.f("uq_run_record_id")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_run_pack_serial_station_attempt"), "run", ["pack_serial", "station", "attempt"], unique=True
    )
    op.create_table(
        "event",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("t_s", REAL, nullable=True),
        sa.Column("utc_s", REAL, nullable=False),
        sa.Column("utc_quality", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_event_run_id")),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_event")),
        sqlite_strict=True,
    )
    op.create_table(
        "trace",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id", "seq"], ["event.run_id", "event.seq"], name=op.f("fk_trace_run_id_seq")),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_trace")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("trace")
    op.drop_table("event")
    op.drop_index(op.f("ix_run_pack_serial_station_attempt"), table_name="run")
    op.drop_table("run")
