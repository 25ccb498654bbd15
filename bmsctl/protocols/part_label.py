"""What a part's data-matrix label says."""

from __future__ import annotations

from typing import NamedTuple


class PartLabel(NamedTuple):
    """One part. `lot` and `produced` (as written, YYMMDD) are empty where the label does not say."""

    part_number: str
    serial: str
    lot: str = ""
    produced: str = ""
