"""Traces of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bmsctl.domain.ports import F64


class Trace(NamedTuple):
    """A stored trace: (n,) values in `unit`; `sample_rate_hz` None where they are no time series."""

    unit: str
    sample_rate_hz: float | None
    values: F64


Traces = Mapping[tuple[str, str], Trace]
"""Traces by step and name."""
