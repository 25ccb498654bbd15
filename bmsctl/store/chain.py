"""The hash chain of a run: every event row holds the SHA-256 of itself and of all rows before it."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quoted
from typing import NamedTuple

from bmsctl.domain.canonical import sha256_hex

GENESIS = ""
"""What the first row of a run is chained to."""


_number = float.__repr__


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
    """The row's link of the chain; raises TypeError for columns no row can have.

    What is hashed: the columns before the payload as a JSON array, then the payload.
    """
    seq, kind, t_s, utc_s, quality, payload = row
    time, utc = "null" if t_s is None else _number(t_s), _number(utc_s)
    head = f"[{quoted(previous_sha256)},{quoted(record_id)},{seq},{quoted(kind)},{time},{utc},{quoted(quality)}]"
    return sha256_hex(f"{head}{payload}".encode())
