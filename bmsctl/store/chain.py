"""The hash chain of a run: every event row holds the SHA-256 of itself and of all rows before it."""

from __future__ import annotations

from typing import Any, NamedTuple

from bmsctl.domain.canonical import canonical_json, sha256_hex

GENESIS = ""
"""What the first row of a run is chained to."""


class EventRow(NamedTuple):
    """A row of table `event` without its run and its own hash.

    `t_s`: loop time since the attempt was opened, None for what a later process added.
    """

    seq: int
    kind: str
    t_s: float | None
    utc_s: float
    utc_quality: str
    payload: str


def digest(previous_sha256: str, record_id: str, row: EventRow) -> str:
    """The row's link of the chain; raises ValueError or TypeError for columns no row can have."""
    head: list[Any] = [previous_sha256, record_id, *row[:-1]]
    return sha256_hex(f"{canonical_json(head)}{row.payload}".encode())
