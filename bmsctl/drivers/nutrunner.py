"""The tightening controller by Open Protocol, over TCP or RS-232: no tightening is lost, and none is made twice.

Nothing in a telegram proves its digits, and a result that is sent may get lost. What counts is therefore what the
controller has in its memory, read twice alike; the result that it sends by itself is one of the two readings. Answers
name the message they answer, but not which of two alike: after an answer that did not come the session is asked for
again, and whatever comes before that is answered belongs to the past. The tool is enabled by one message, which is
never repeated; whatever ends the waiting for the result early asks the tool off.
A result is acknowledged as soon as it comes: a controller told to disable its tool forgets what it has still to send.

Source: Atlas Copco, "Open Protocol Specification" R 2.8.0 (9836 4415 01), sections 3 and 5. To be checked on the
device: that a session can be asked for again while it lasts, that answers come in the order of the questions, and what
a controller answers to a message outside of a session.
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
from bmsctl.errors import DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import open_protocol as op
from bmsctl.protocols.open_protocol import Malformed, Message, OldResult, Refusal, Result

DEVICE = "nutrunner"
ANSWER_WITHIN_S = 0.5
KEEP_ALIVE_EVERY_S = 8.0
ATTEMPTS = 3
FINISHED_AFTER_S = 5.0
"""No tightening takes longer: one that is under way when the tool is disabled has ended."""
NEW_MAX = 500
"""More tightenings than the whole line makes while one bolt waits."""

_RESULT, _KEEP_ALIVE = op.mid_of(Result), op.mid_of(op.KeepAlive)
_ANSWERED = {2: 1, 65: 64, _KEEP_ALIVE: _KEEP_ALIVE}
"""MIDs that answer another one without naming it."""
_ACKNOWLEDGEMENTS: dict[int, Message] = {
    _RESULT: op.AcknowledgeResult(),
    op.mid_of(op.Alarm): op.AcknowledgeAlarm(),
    op.mid_of(op.AlarmStatus): op.AcknowledgeAlarmStatus(),
    op.mid_of(op.AlarmAcknowledged): op.AcknowledgeAlarmAcknowledged(),
}
_HARMLESS = (
    Refusal.CLIENT_ALREADY_CONNECTED,
    Refusal.RESULTS_ALREADY_SUBSCRIBED,
    Refusal.ALARMS_ALREADY_SUBSCRIBED,
    Refusal.TIGHTENING_ID_NOT_FOUND,
)
"""Refusals that are answers: it is so already, or there is none."""


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
    """Implements Nutrunner; one call at a time. `strays`: answers and results that nobody waited for."""

    def __init__(self, serial: SerialLink) -> None:
        self._serial = serial
        self._telegrams = op.Telegrams()
        self._undecodable = 0
        self.strays = 0
        self._lease: Lease | None = None
        self._identity = ""
        self._open, self._sessions = False, 0
        self._spoke_s, self._echoes = 0.0, 0
        self._beat: asyncio.TimerHandle | None = None
        self._awaited: tuple[int, asyncio.Future[Message | str]] | None = None
        self._news = asyncio.Event()
        self._pushed: deque[Tightening | str] = deque(maxlen=NEW_MAX)
        self._alarm = ""
        self._order: _Order | None = None
        serial.attach(self._take)

    @property
    def damaged(self) -> int:
        """Runs of bytes that are no telegram, and telegrams that are no message."""
        return self._telegrams.damaged + self._undecodable

    async def identify(self, lease: Lease) -> str:
        await self._ask(lease, op.KeepAlive())
        return self._identity

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
        await self._ask(lease, op.SelectParameterSet(parameter_set))
        session = self._sessions
        await self._ask(lease, op.DownloadVin(vin))
        base = await self.newest_id(lease)
        self._require_no_alarm()
        if self._sessions != session:
            raise DeviceRestarted(DEVICE, "has ended the session before the tool was enabled; check its supply")
        self._pushed.clear()
        with self._off_in_doubt():
            await self._exchange(lease, op.EnableTool())
        self._order = _Order(vin, parameter_set, base, base, session)

    async def result(self, lease: Lease, within: Second) -> Tightening:
        """As the port says. Whatever ends this early asks the tool off.

        Raises:
            DeviceRefused: the tool is not enabled, or an alarm came up; says which.
            ReplyInvalid: also when a result came that is none, and there is none in the controller's memory.
            DeviceRestarted: the session was lost since `enable` and nothing was tightened; the tool is disabled.
        """
        if self._order is None:
            raise DeviceRefused(DEVICE, "the tool has not been enabled")
        with self._off_in_doubt():
            found = await self._await(lease, self._order, within)
        self._order = None
        return found

    async def disable(self, lease: Lease) -> None:
        """As the port says. A tightening that is under way may still be finished."""
        self._order = None
        await self._ask(lease, op.DisableTool())

    def off(self) -> None:
        self._order = None
        with contextlib.suppress(LinkDown, TxFull):
            if not self._open:
                self._serial.write(_encoded(op.CommunicationStart()))
            self._serial.write(_encoded(op.DisableTool()))

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
            raise ReplyInvalid(DEVICE, f"{order.malformed}; nor is the result in its memory, check the cable")
        raise DeviceTimeout(DEVICE, f"nothing was tightened within {within:g} s; tighten the bolt again")

    async def _heard(self, lease: Lease, order: _Order) -> Tightening | None:
        """The tightening that was ordered, if what has come meanwhile says that it was made."""
        while self._pushed:
            found = await self._consider(lease, order, self._pushed.popleft())
            if found is not None:
                return found
        if self._open and not self._alarm:
            return None
        await self._ask(lease, op.KeepAlive())
        lost = self._sessions != order.session
        if lost:
            await self.disable(lease)
            lease.quiet_for(FINISHED_AFTER_S)
            await asyncio.sleep(FINISHED_AFTER_S)
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
        self.strays += 1
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
        for _ in range(ATTEMPTS):
            answer = await self._ask(lease, op.RequestOldResult(tightening_id))
            got = _tightening(answer) if isinstance(answer, OldResult) else None
            if got is not None and tightening_id not in (0, got.tightening_id):
                continue
            if readings and readings[-1] == got:
                return got
            readings.append(got)
        raise ReplyInvalid(DEVICE, f"does not say the same twice of tightening {tightening_id}; check the cable")

    async def _ask(self, lease: Lease, message: Message) -> Message:
        """The answer to a message that may be sent twice: it is, in a session begun anew, if no good answer comes."""
        try:
            await self._begin(lease)
            return await self._exchange(lease, message)
        except (DeviceTimeout, ReplyInvalid, DeviceRestarted):
            await self._begin(lease)
            return await self._exchange(lease, message)

    async def _begin(self, lease: Lease) -> None:
        """See that there is a session in which results and alarms are subscribed to."""
        self._lease = lease
        if not self._open:
            started = await self._exchange(lease, op.CommunicationStart())
            if isinstance(started, op.CommandError) and not self._identity:
                await self._exchange(lease, op.CommunicationStop())
                started = await self._exchange(lease, op.CommunicationStart())
            if isinstance(started, op.CommunicationStarted):
                self._identity = f"{started.controller}, cell {started.cell}, channel {started.channel}"
                self._sessions, self._alarm = self._sessions + 1, ""
            await self._exchange(lease, op.SubscribeResults())
            await self._exchange(lease, op.SubscribeAlarms())
            self._open = True
        if self._beat is None:
            self._keep_alive()

    async def _exchange(self, lease: Lease, message: Message) -> Message:
        """Send a message, once, and return its answer, a refusal only if it is harmless.

        Raises:
            DeviceTimeout, ReplyInvalid: no answer, or a damaged one.
            DeviceRestarted, DeviceRefused: the controller knows of no session, or refuses.
        """
        lease.quiet_for(ANSWER_WITHIN_S)
        damaged, mid = self.damaged, op.mid_of(message)
        waiting: asyncio.Future[Message | str] = asyncio.get_running_loop().create_future()
        self._awaited = mid, waiting
        try:
            self._write(message, lease)
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer = await waiting
        except TimeoutError:
            if self.damaged != damaged:
                raise ReplyInvalid(DEVICE, f"the answer to MID {mid:04d} is damaged; check the cable") from None
            text = f"no answer to MID {mid:04d} within {ANSWER_WITHIN_S:g} s; check cable and supply"
            raise DeviceTimeout(DEVICE, text) from None
        finally:
            self._awaited = None
            self._open &= waiting.done() and not waiting.cancelled()
        lease.touch()
        if isinstance(answer, str):
            raise ReplyInvalid(DEVICE, answer)
        if isinstance(answer, op.CommandError) and answer.code == Refusal.INVALID_DATA:
            self._open = False
            raise DeviceRestarted(DEVICE, f"{answer.text}; it has no session any more, check its supply")
        if isinstance(answer, op.CommandError) and answer.code not in _HARMLESS:
            raise DeviceRefused(DEVICE, f"{answer.text}; check its set-up")
        return answer

    def _write(self, message: Message, lease: Lease) -> None:
        self._serial.write(_encoded(message), lease)
        self._spoke_s = asyncio.get_running_loop().time()

    def _keep_alive(self) -> None:
        """Say something before the controller misses it, while there is a session and the lease lasts."""
        self._beat, loop = None, asyncio.get_running_loop()
        if not self._open or self._lease is None or self._lease.revoked:
            return
        if loop.time() >= self._spoke_s + KEEP_ALIVE_EVERY_S:
            try:
                self._write(op.KeepAlive(), self._lease)
            except (LinkDown, TxFull):
                return self._lose()
            loop.call_later(ANSWER_WITHIN_S, self._require_echo, self._echoes)
        self._beat = loop.call_at(self._spoke_s + KEEP_ALIVE_EVERY_S, self._keep_alive)

    def _require_echo(self, before: int) -> None:
        if self._echoes == before:
            self._lose()

    def _lose(self) -> None:
        """The session is in doubt; who waits for a result, or asks next, asks for the session again."""
        self._open = False
        self._news.set()

    def _take(self, data: bytes, t_s: float) -> None:
        for telegram in self._telegrams.feed(data):
            try:
                self._hear(telegram.mid, op.message_of(telegram))
            except Malformed as error:
                self._undecodable += 1
                self._hear(telegram.mid, str(error))

    def _hear(self, mid: int, message: Message | str) -> None:
        """A message, or why a telegram is none."""
        if mid in _ACKNOWLEDGEMENTS and self._lease is not None:
            with contextlib.suppress(LeaseRevoked, LinkDown, TxFull):
                self._write(_ACKNOWLEDGEMENTS[mid], self._lease)
        if mid == _RESULT:
            self._pushed.append(_tightening(message) if isinstance(message, Result) else str(message))
            self._news.set()
        elif isinstance(message, op.Alarm | op.AlarmStatus | op.AlarmAcknowledged):
            active = getattr(message, "active", isinstance(message, op.Alarm))
            self._alarm = message.error if active else ""
            self._news.set()
        elif isinstance(message, op.CommandAccepted | op.CommandError):
            self._resolve(message.mid, message)
        else:
            self._echoes += isinstance(message, op.KeepAlive)
            self._resolve(_ANSWERED.get(mid), message)

    def _resolve(self, asked: int | None, answer: Message | str) -> None:
        """An answer to the message of this MID."""
        if asked == _KEEP_ALIVE and isinstance(answer, op.CommandError):
            self._lose()
        accepted = isinstance(answer, op.CommandAccepted) and asked in _ANSWERED.values()
        if self._awaited is None or self._awaited[0] != asked or self._awaited[1].done() or accepted:
            self.strays += asked != _KEEP_ALIVE
        else:
            self._awaited[1].set_result(answer)

    def _require_no_alarm(self) -> None:
        if self._alarm:
            raise DeviceRefused(DEVICE, f"alarm {self._alarm} is pending; see to the tool and acknowledge it there")


def _encoded(message: Message) -> bytes:
    try:
        return op.encode(op.to_telegram(message))
    except Malformed as error:
        raise DeviceRefused(DEVICE, f"cannot be told: {error}; check the recipe") from None


def _tightening(told: Result | OldResult) -> Tightening:
    said = {field.name: getattr(told, field.name) for field in fields(Tightening)}
    return Tightening(**{**said, "angle": float(told.angle)})
