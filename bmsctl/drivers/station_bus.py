"""How a device on the station bus is asked, and how it reports.

A device sends its state at once when it changes, so nothing here polls; the cyclic frame with the same contents is
looked at for freshness, and when a change may have been lost. It reports the counter of the last Request it has read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink
from bmsctl.protocols.station_bus import ALIVE_MASK, AliveWatch


class Report(Protocol):
    """What every report carries."""

    @property
    def echo(self) -> int:
        """Alive counter of the last Request the device has read."""
        ...

    @property
    def alive(self) -> int:
        """Alive counter of this frame."""
        ...


R = TypeVar("R", bound=Report)


@dataclass(frozen=True, slots=True)
class Frames(Generic[R]):
    """Ids of a device's frames, the period of the cyclic one, and the decoder of both: (data, id) to a report."""

    request_id: int
    changed_id: int
    cyclic_id: int
    period_s: float
    decode: Callable[[bytes, int], R | None]


class Reports(Generic[R]):
    """The newest report of one device, and the Requests to it. `errors` counts damaged or repeated frames."""

    def __init__(self, can: CanLink, frames: Frames[R], on_report: Callable[[R, float], None] | None = None) -> None:
        """`on_report`: called with every report that is taken, and its time of receipt."""
        self._can = can
        self._frames = frames
        self._on_report = on_report
        self._watch = AliveWatch(frames.period_s)
        self._looked_at: CanFrame | None = None
        self._came = asyncio.Event()
        self._request_alive: int | None = None
        self.newest: R | None = None
        self.t_s = -math.inf
        self.errors = 0
        can.latch([frames.cyclic_id])
        can.push([frames.changed_id], self._take_change)

    def look(self) -> None:
        """Take the newest cyclic frame, unless it was looked at already or something newer was taken."""
        frame = self._can.newest(self._frames.cyclic_id)
        if frame is None or frame is self._looked_at:
            return
        self._looked_at = frame
        if frame.t_s <= self.t_s:
            return
        report = self._frames.decode(frame.data, self._frames.cyclic_id)
        if report is None or not self._watch.moved(report.alive, frame.t_s):
            self.errors += 1
            return
        self._take(report, frame.t_s)

    def request(self, encode: Callable[[int], bytes], lease: Lease | None) -> int:
        """Send the Request that `encode` makes of an alive counter; that counter.

        It goes on where the device has read last, so that the first Request after a restart is no repetition.

        Raises:
            LeaseRevoked, LinkDown, TxFull: as `CanLink.send`.
        """
        if self._request_alive is None:
            self.look()
            self._request_alive = 0 if self.newest is None else self.newest.echo
        self._request_alive = self._request_alive + 1 & ALIVE_MASK
        self._can.send(CanFrame(self._frames.request_id, encode(self._request_alive)), lease)
        return self._request_alive

    async def until(self, done: Callable[[R], bool], since_s: float, within_s: float) -> float:
        """Wait for a report received at `since_s` or later that `done` accepts; when it was received.

        The cyclic frame has the last word.

        Raises:
            TimeoutError: none came within `within_s`.
        """

        def seen() -> bool:
            return self.newest is not None and self.t_s >= since_s and done(self.newest)

        try:
            async with asyncio.timeout(within_s):
                while not seen():
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            self.look()
            if not seen():
                raise
        return self.t_s

    def _take_change(self, frame: CanFrame) -> None:
        report = self._frames.decode(frame.data, self._frames.changed_id)
        if report is None:
            self.errors += 1
            return
        self._take(report, frame.t_s)

    def _take(self, report: R, t_s: float) -> None:
        self.newest, self.t_s = report, t_s
        self._came.set()
        if self._on_report is not None:
            self._on_report(report, t_s)
