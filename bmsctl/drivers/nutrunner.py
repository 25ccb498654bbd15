"""The tightening controller by Open Protocol, over TCP or RS-232: no tightening is lost, and none is made twice.

Nothing in a telegram proves its digits, and a result that is sent may get lost. What counts is therefore what the
controller has in its memory, read twice alike; the result that it sends by itself is one of the two readings. The tool
is enabled by one message, which is never repeated; whatever ends the waiting for the result early asks the tool off.
A result is acknowledged as soon as it comes: a controller told to disable its tool forgets what it has still to send.

Source: Atlas Copco, "Open Protocol Specification" R 2.8.0 (9836 4415 01), section 5.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.ports import Tightening
from bmsctl.domain.units import Second
from bmsctl.drivers.open_protocol_session import DEVICE, OpenProtocolSession
from bmsctl.errors import DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import open_protocol as op
from bmsctl.protocols.open_protocol import Message, OldResult, Result

READINGS_MAX = 3
FINISHED_AFTER_S = 5.0
"""No tightening takes longer: one that is under way when the tool is disabled has ended."""
NEW_MAX = 500
"""More tightenings than the whole line makes while one bolt waits."""


@dataclass
class _Order:
    """The tightening that the tool is enabled for, in session number `session`.

    `base`: newest identifier before; `seen`: none up to this one is it; `malformed`: why a result could not be read.
    """

    vin: str
    parameter_set: int
    base: int
    seen: int
    session: int
    malformed: str = ""


class OpenProtocolNutrunner:
    """Implements Nutrunner; one call at a time."""

    def __init__(self, serial: SerialLink) -> None:
        self._session = OpenProtocolSession(serial, self._hear, self._wake)
        self._news = asyncio.Event()
        self._pushed: deque[Tightening | str] = deque(maxlen=NEW_MAX)
        self._strays = 0
        self._alarm = ""
        self._order: _Order | None = None

    @property
    def damaged(self) -> int:
        """Runs of bytes that are no telegram, and telegrams that are no message."""
        return self._session.damaged

    @property
    def strays(self) -> int:
        """Answers and results that nobody waited for."""
        return self._session.strays + self._strays

    async def identify(self, lease: Lease) -> str:
        await self._session.ask(lease, op.KeepAlive())
        return self._session.identity

    async def newest_id(self, lease: Lease) -> int:
        """As the port says; 0 if the controller has none on record."""
        newest = await self._read(lease, 0)
        return newest.tightening_id if newest is not None else 0

    async def stored(self, lease: Lease, tightening_id: int) -> Tightening | None:
        return await self._read(lease, tightening_id)

    async def enable(self, lease: Lease, vin: str, parameter_set: int) -> None:
        """As the port says.

        Raises:
            DeviceTimeout, ReplyInvalid: no good answer. A tool that may be enabled has been asked off.
            DeviceRestarted: the session does not last until the tool is enabled.
        """
        self._order = None
        await self._session.ask(lease, op.SelectParameterSet(parameter_set))
        session = self._session.number
        await self._session.ask(lease, op.DownloadVin(vin))
        base = await self.newest_id(lease)
        self._require_no_alarm()
        if self._session.number != session:
            raise DeviceRestarted(DEVICE, "has ended the session before the tool was enabled; check its supply")
        self._pushed.clear()
        with self._off_in_doubt():
            await self._session.exchange(lease, op.EnableTool())
        self._order = _Order(vin, parameter_set, base, base, session)

    async def result(self, lease: Lease, within: Second) -> Tightening:
        """As the port says. Whatever ends this early asks the tool off.

        Raises:
            DeviceRefused: the tool is not enabled, or an alarm came up; says which.
            ReplyInvalid: also when a result came that is none, and there is none in the controller's memory.
            DeviceRestarted: the session was lost since `enable` and nothing was tightened; the tool is disabled.
        """
        if self._order is None:
            raise DeviceRefused(DEVICE, "the tool has not been enabled; report this record")
        with self._off_in_doubt():
            found = await self._await(lease, self._order, within)
        self._order = None
        return found

    async def disable(self, lease: Lease) -> None:
        """As the port says. A tightening that is under way may still be finished."""
        self._order = None
        await self._session.ask(lease, op.DisableTool())

    async def stop(self, lease: Lease) -> None:
        """As the port says: what is under way is given its time, for nothing says that the tool stands still."""
        await self.disable(lease)
        lease.quiet_for(FINISHED_AFTER_S)
        await asyncio.sleep(FINISHED_AFTER_S)

    def off(self) -> None:
        """As the port says. A controller that knows of no session refuses; `disable` and `stop` begin one."""
        self._order = None
        with contextlib.suppress(LinkDown, TxFull):
            self._session.hand_over(op.DisableTool())

    @contextlib.contextmanager
    def _off_in_doubt(self) -> Iterator[None]:
        """Whatever ends the block early, a cancellation too, asks the tool off; without a lease, who took it does."""
        try:
            yield
        except LeaseRevoked:
            self._order = None
            raise
        except BaseException:
            self.off()
            raise

    async def _await(self, lease: Lease, order: _Order, within: Second) -> Tightening:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within
        found = None
        while found is None and loop.time() < until_s:
            self._news.clear()
            found = await self._heard(lease, order)
            if found is None:
                lease.quiet_for(until_s - loop.time())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(until_s):
                        await self._news.wait()
        found = found or await self._look(lease, order, order.base)
        if found is not None:
            return found
        if order.malformed:
            raise ReplyInvalid(DEVICE, f"{order.malformed}, and the result is not in its memory; check the cable")
        raise DeviceTimeout(DEVICE, f"nothing was tightened within {within:g} s; tighten the bolt again")

    async def _heard(self, lease: Lease, order: _Order) -> Tightening | None:
        """The tightening that was ordered, if what has come meanwhile says that it was made."""
        while self._pushed:
            found = await self._consider(lease, order, self._pushed.popleft())
            if found is not None:
                return found
        if self._session.open and not self._alarm:
            return None
        await self._session.ask(lease, op.KeepAlive())
        lost = self._session.number != order.session
        if lost:
            await self.stop(lease)
        found = await self._look(lease, order, order.base)
        if found is None and lost:
            raise DeviceRestarted(DEVICE, "has lost the session and tightened nothing; check its supply and the cable")
        if found is None:
            self._require_no_alarm()
        return found

    async def _consider(self, lease: Lease, order: _Order, pushed: Tightening | str) -> Tightening | None:
        """The tightening that was ordered, if what was sent says that it was made: a result, or why it is none."""
        if isinstance(pushed, str):
            order.malformed = pushed
            return await self._look(lease, order, order.seen)
        ours = (pushed.vin, pushed.parameter_set) == (order.vin, order.parameter_set)
        if ours and pushed.tightening_id > order.seen:
            return await self._look(lease, order, order.seen, pushed)
        self._strays += 1
        if pushed.tightening_id > order.seen + 1:
            return await self._look(lease, order, order.seen)
        order.seen = max(order.seen, pushed.tightening_id)
        return None

    async def _look(self, lease: Lease, order: _Order, after: int, sent: Tightening | None = None) -> Tightening | None:
        """The tightening that was ordered among those after an identifier, as the controller has them in its memory."""
        known = {sent.tightening_id: sent} if sent is not None else {}
        newest = after + 1 if after + 1 in known else await self.newest_id(lease)
        if newest - after > NEW_MAX:
            raise ReplyInvalid(DEVICE, f"has counted from tightening {after} to {newest} meanwhile; check its memory")
        ours = []
        for tightening_id in range(after + 1, newest + 1):
            old = await self._read(lease, tightening_id, known.get(tightening_id))
            if old is not None and (old.vin, old.parameter_set) == (order.vin, order.parameter_set):
                ours.append(old)
        if len(ours) > 1:
            raise ReplyInvalid(
                DEVICE, f"has tightened {len(ours)} times, enabled once; check the batch size of its set"
            )
        order.seen = max(order.seen, newest)
        return ours[0] if ours else None

    async def _read(self, lease: Lease, tightening_id: int, sent: Tightening | None = None) -> Tightening | None:
        """A tightening of the controller's memory (0: the newest), read twice alike; `sent` is a reading, too."""
        readings: list[Tightening | None] = [sent] if sent is not None else []
        for _ in range(READINGS_MAX):
            answer = await self._session.ask(lease, op.RequestOldResult(tightening_id))
            got = _tightening(answer) if isinstance(answer, OldResult) else None
            if got is not None and tightening_id not in (0, got.tightening_id):
                continue
            if readings and readings[-1] == got:
                return got
            readings.append(got)
        raise ReplyInvalid(DEVICE, f"does not say the same twice of tightening {tightening_id}; check the cable")

    def _hear(self, message: Message | str) -> None:
        """What the controller sends by itself; a text says why a result is none."""
        if isinstance(message, Result | str):
            self._pushed.append(message if isinstance(message, str) else _tightening(message))
        elif isinstance(message, op.Alarm):
            self._alarm = message.error
        elif isinstance(message, op.AlarmStatus):
            self._alarm = message.error if message.active else ""
        else:
            self._alarm = ""
        self._wake()

    def _wake(self) -> None:
        self._news.set()

    def _require_no_alarm(self) -> None:
        if self._alarm:
            raise DeviceRefused(DEVICE, f"alarm {self._alarm} is pending; see to the tool and acknowledge it there")


def _tightening(told: Result | OldResult) -> Tightening:
    said = {field.name: getattr(told, field.name) for field in fields(Tightening)}
    return Tightening(**{**said, "angle": float(told.angle)})
