"""The run's log as a station sees it: append, make durable, close."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bmsctl.domain.events import AttemptClosed, Event
from bmsctl.domain.ports import F64


class RunLog(Protocol):
    """Append-only log of one attempt. Closed, it takes nothing more."""

    def append(self, event: Event) -> None:
        """Chain the event to the log; durable after the next `commit`."""
        ...

    def add_trace(self, step: str, name: str, unit: str, sample_rate_hz: float | None, data: F64) -> None:
        """Append a trace, (n,) in `unit`; `sample_rate_hz` is None for values that are no time series."""
        ...

    def commit_soon(self) -> None:
        """Make durable what was appended within moments, without waiting; a failure shows at the next call."""
        ...

    async def commit(self) -> str:
        """Return the head's SHA-256 once everything appended before the call is durable.

        Raises:
            StoreError: the write failed; the log takes nothing more.
        """
        ...

    async def close(self, closed: AttemptClosed) -> Mapping[str, Any]:
        """Append the end, make it durable, and return the record folded from the log."""
        ...
