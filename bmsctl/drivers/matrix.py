"""The HV matrix over CAN: a route counts as closed or open when its auxiliary contact says so."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Set

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink
from bmsctl.domain.ports import Route
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, DeviceTimeout, LinkDown, TxFull
from bmsctl.protocols import matrix
from bmsctl.protocols.matrix import Feedback, Refusal
from bmsctl.protocols.station_bus import ALIVE_MASK, AliveWatch

DEVICE = "matrix"
CONFIRMED_WITHIN_S = Second(0.25)
FRESH_S = 4 * matrix.FEEDBACK_PERIOD_S

_REFUSED = {
    Refusal.ILLEGAL_SET: "exclude each other",
    Refusal.NO_FEED: "not switched: the safety PLC does not feed the relays",
    Refusal.HOT: "not switched under voltage: discharge first",
    Refusal.REPEATED: "not switched: the request looked like a repeated one; check for a second sender",
}


class CanMatrix:
    """Implements Matrix. `errors` counts damaged or repeated frames."""

    def __init__(self, can: CanLink) -> None:
        self._can = can
        self._alive: int | None = None
        self._seen: Feedback | None = None
        self._seen_s = -math.inf
        self._feedback_alive = AliveWatch(matrix.FEEDBACK_PERIOD_S)
        self._changed = asyncio.Event()
        self.errors = 0
        can.latch([matrix.FEEDBACK_ID])
        can.push([matrix.FEEDBACK_CHANGED_ID], self._take_change)

    async def connect(self, lease: Lease, routes: Set[Route]) -> None:
        sent_s = asyncio.get_running_loop().time()
        alive = self._send(routes, lease)
        await self._until(lambda seen: _answers(seen, alive, routes), sent_s, CONFIRMED_WITHIN_S, routes)
        lease.touch()

    def open_all(self) -> None:
        try:
            self._send(frozenset(), None)
        except (LinkDown, TxFull):
            self.errors += 1

    async def await_routes(self, routes: Set[Route], within: Second) -> None:
        self._look()
        since_s = asyncio.get_running_loop().time() - FRESH_S
        await self._until(lambda seen: seen.routes == routes and not seen.moving, since_s, within, routes)

    def _send(self, routes: Set[Route], lease: Lease | None) -> int:
        """Send a Request; its alive counter."""
        if self._alive is None:
            self._look()
            self._alive = 0 if self._seen is None else self._seen.echo
        self._alive = self._alive + 1 & ALIVE_MASK
        self._can.send(CanFrame(matrix.REQUEST_ID, matrix.encode_request(matrix.Request(routes, self._alive))), lease)
        return self._alive

    async def _until(
        self, done: Callable[[Feedback], bool], since_s: float, within: Second, routes: Set[Route]
    ) -> None:
        """Wait for feedback not older than `since_s` that `done` accepts; the cyclic one has the last word."""

        def seen() -> bool:
            return self._seen is not None and self._seen_s >= since_s and done(self._seen)

        try:
            async with asyncio.timeout(within):
                while not seen():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._look()
            if not seen():
                text = f"no feedback of {_names(routes)} within {within:g} s; check its supply and the CAN cable"
                raise DeviceTimeout(DEVICE, text) from None

    def _take_change(self, frame: CanFrame) -> None:
        feedback = matrix.decode_feedback(frame.data, matrix.FEEDBACK_CHANGED_ID)
        if feedback is None:
            self.errors += 1
            return
        self._seen, self._seen_s = feedback, frame.t_s
        self._changed.set()

    def _look(self) -> None:
        """Take the newest cyclic feedback, unless something newer was seen."""
        frame = self._can.newest(matrix.FEEDBACK_ID)
        if frame is None or frame.t_s <= self._seen_s:
            return
        feedback = matrix.decode_feedback(frame.data)
        if feedback is None or not self._feedback_alive.moved(feedback.alive, frame.t_s):
            self.errors += 1
            return
        self._seen, self._seen_s = feedback, frame.t_s


def _answers(seen: Feedback, alive: int, routes: Set[Route]) -> bool:
    """Whether this feedback confirms request `alive` for `routes`.

    Raises:
        DeviceRefused: it says no, or a contact is not where it should be.
    """
    if seen.echo != alive:
        return False
    if seen.refusal is not Refusal.NONE:
        raise DeviceRefused(DEVICE, f"{_names(routes)} {_REFUSED[seen.refusal]}")
    if seen.moving:
        return False
    if seen.fault or seen.routes != routes:
        text = f"feedback shows {_names(seen.routes)} instead of {_names(routes)}; a relay is stuck"
        raise DeviceRefused(DEVICE, text)
    return True


def _names(routes: Set[Route]) -> str:
    return " + ".join(sorted(routes)) or "no route"
