"""What the owner watches of a run: the step's budget, the devices' freshness, and the boundary between steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bmsctl.domain.lease import Lease
from bmsctl.errors import RunStopped
from bmsctl.stations.mailbox import Message, StepBoundary


class RunScope:
    """Shared by the owner and one run; a run that outlives its scope shares nothing with the next."""

    def __init__(self, post: Callable[[Message], None], now: Callable[[], float]) -> None:
        self._post = post
        self._now = now
        self._step = ""
        self._deadline_s = float("inf")
        self._leases: Sequence[Lease] = ()
        self._alive: Callable[[], str | None] | None = None
        self.holding = False
        self.proving_dead_man = False
        self.waiting: asyncio.Future[None] | None = None

    def begin_step(self, step: str, max_s: float, leases: Sequence[Lease]) -> None:
        """A step starts: it may take `max_s`, and some device of `leases` must keep speaking."""
        for lease in leases:
            lease.touch()
        self._step, self._leases = step, leases
        self._deadline_s = self._now() + max_s

    def end_step(self) -> None:
        """No step runs, and none of its limits holds."""
        self._deadline_s = float("inf")
        self._leases = ()

    def watch(self, alive: Callable[[], str | None] | None) -> None:
        """From now on, ask at every challenge which device has fallen silent; None: no longer."""
        self._alive = alive

    def breach(self) -> str | None:
        """Why the PLC must not be answered now; None if all is well."""
        now_s = self._now()
        if now_s > self._deadline_s:
            return f"{self._step}: over its time budget"
        for lease in self._leases:
            if now_s <= lease.fresh_until_s:
                break
        else:
            if self._leases:
                return f"{self._step}: no device has answered and no wait was declared"
        return self._alive() if self._alive is not None else None

    async def boundary(self) -> None:
        """Between two steps: wait while the station is held; raises RunStopped if the run is to stop here."""
        if self.holding:
            go = asyncio.get_running_loop().create_future()
            self._post(StepBoundary(self, go))
            await go

    def release(self) -> None:
        """Let a held run go on."""
        self.holding = False
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)
        self.waiting = None

    def stop(self, error: RunStopped) -> None:
        """End a held run at its boundary."""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(error)
        self.waiting = None
