"""A run as the owner task sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from bmsctl.domain.verdict import Verdict
from bmsctl.stations.safe import SafeReport
from bmsctl.stations.scope import RunScope


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended: `verdict` None if it ran to its end, else what ended it."""

    verdict: Verdict | None
    reason: str


class Job(Protocol):
    """One run."""

    async def prepare(self, scope: RunScope) -> None:
        """PackML Starting: leases, station ready."""
        ...

    async def execute(self, scope: RunScope) -> None:
        """PackML Execute: the steps."""
        ...

    def safing(self) -> None:
        """The owner has begun to make safe; must neither raise nor take time."""
        ...

    async def close(self, end: RunEnd, safe: SafeReport) -> Any:
        """Judge, make the record durable, show the verdict; the result of the run."""
        ...
