"""The owner's mailbox: the only thing the owner task awaits. Urgent messages overtake the others."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from bmsctl.domain.packml import Event
from bmsctl.domain.ports import Challenge, PlcStatus
from bmsctl.domain.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Command:
    """A person's, or the daemon's, command; START carries the job and where its outcome goes."""

    event: Event
    reply: asyncio.Future[None]
    job: Any = None
    outcome: asyncio.Future[Any] | None = None


@dataclass(frozen=True, slots=True)
class Abort:
    """End the run now. `verdict`: ABORTED for a person, a signal or the safety chain, INVALID for the station."""

    reason: str
    verdict: Verdict = Verdict.ABORTED


@dataclass(frozen=True, slots=True)
class Tripped:
    """The PLC reports that it removed, or withholds, energy."""

    status: PlcStatus


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A child task of the owner ended, however."""

    task: asyncio.Task[Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The run's Starting is over."""

    scope: Any


@dataclass(frozen=True, slots=True)
class StepBoundary:
    """The run of `scope` is between two steps and waits for `go`."""

    scope: Any
    go: asyncio.Future[None]


_URGENT = (Abort, Tripped)

Message = Command | Abort | Tripped | TaskDone | Challenge | Prepared | StepBoundary


class Mailbox:
    """Unbounded by design of its senders: each has at most one message outstanding per event of its own."""

    def __init__(self) -> None:
        self._urgent: deque[Message] = deque()
        self._normal: deque[Message] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def post(self, message: Message) -> None:
        """Add a message; never blocks, never raises."""
        queue = self._urgent if isinstance(message, _URGENT) else self._normal
        queue.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def replies(self) -> list[asyncio.Future[None]]:
        """Where the commands not yet taken are to be answered."""
        return [message.reply for message in self._normal if isinstance(message, Command)]

    async def get(self) -> Message:
        """The next message, urgent ones first."""
        while True:
            if self._urgent:
                return self._urgent.popleft()
            if self._normal:
                return self._normal.popleft()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
