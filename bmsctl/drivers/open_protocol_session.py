"""A client's session with a controller by Open Protocol: questions with their answers, signs of life, acknowledgements.

Answers name the message they answer, but not which of two alike: after an answer that did not come the session is
asked for again, and whatever comes before that is answered belongs to the past.

Source: Atlas Copco, "Open Protocol Specification" R 2.8.0 (9836 4415 01), sections 3 and 5. To be checked on the
device: that a session can be asked for again while it lasts, that answers come in the order of the questions, and what
a controller answers to a message outside of a session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.errors import DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import open_protocol as op
from bmsctl.protocols.open_protocol import ErrorCode, Malformed, Message

DEVICE = "nutrunner"
ANSWER_WITHIN_S = 0.5
KEEP_ALIVE_EVERY_S = 8.0

_RESULT, _KEEP_ALIVE = op.mid_of(op.Result), op.mid_of(op.KeepAlive)
_ANSWERED = {
    op.mid_of(op.CommunicationStarted): op.mid_of(op.CommunicationStart),
    op.mid_of(op.OldResult): op.mid_of(op.RequestOldResult),
    _KEEP_ALIVE: _KEEP_ALIVE,
}
"""MIDs that answer another one without naming it."""
_ACKNOWLEDGEMENTS: dict[int, Message] = {
    _RESULT: op.AcknowledgeResult(),
    op.mid_of(op.Alarm): op.AcknowledgeAlarm(),
    op.mid_of(op.AlarmStatus): op.AcknowledgeAlarmStatus(),
    op.mid_of(op.AlarmAcknowledged): op.AcknowledgeAlarmAcknowledged(),
}
_HARMLESS: dict[type[Message], ErrorCode] = {
    op.CommunicationStart: ErrorCode.CLIENT_ALREADY_CONNECTED,
    op.SubscribeResults: ErrorCode.RESULTS_ALREADY_SUBSCRIBED,
    op.SubscribeAlarms: ErrorCode.ALARMS_ALREADY_SUBSCRIBED,
    op.RequestOldResult: ErrorCode.TIGHTENING_ID_NOT_FOUND,
}
"""The one refusal of a message that is an answer: it is so already, or there is none."""
_REPORT = "look the code up in the controller's manual, and report this record"
_ADVICE: dict[int, str] = {
    ErrorCode.PARAMETER_SET_NOT_PRESENT: "put the parameter set into the controller, or correct the recipe",
    ErrorCode.PARAMETER_SET_CANNOT_BE_SET: "let go of the trigger, and end what is set at the controller by hand",
    ErrorCode.PARAMETER_SET_NOT_RUNNING: "end the job that is selected at the controller",
    ErrorCode.VIN_NOT_GRANTED: "let the controller take its VIN from Open Protocol",
    ErrorCode.PROTOCOL_BUSY: "disconnect the controller's other client",
    ErrorCode.CLIENT_ALREADY_CONNECTED: "disconnect the controller's other client",
    ErrorCode.CONTROL_NOT_GRANTED: "allow programming by Open Protocol at the controller",
    ErrorCode.COMMANDS_DISABLED: "allow Open Protocol commands at the controller",
    ErrorCode.TOOL_INACCESSIBLE: "check the tool and its cable",
    ErrorCode.TOOL_IN_USE: "let go of the trigger, and start again",
    ErrorCode.COMMAND_FAILED: "see what the controller's display says",
    ErrorCode.CONTROLLER_TIMEOUT: "start again; if it stays so, restart the controller",
    ErrorCode.REVISION_UNSUPPORTED: "update the controller's software",
    ErrorCode.UNKNOWN_MID: "update the controller's software",
}


class OpenProtocolSession:
    """One session at a time, begun when it is needed, and one question at a time.

    `identity`: who the controller says it is; `number`: how many sessions it has granted; `open`: whether the last of
    them lasts, as far as is known; `strays`: answers that nobody waited for.
    """

    def __init__(self, serial: SerialLink, told: Callable[[Message | str], None], lost: Callable[[], None]) -> None:
        """Begins nothing.

        Args:
            told: takes what the controller sends by itself, results (or why one cannot be read) and alarms, and that
                it has granted a session.
            lost: is called when the session is in doubt.
        """
        self.identity = ""
        self.open = False
        self.number = 0
        self.strays = 0
        self._serial, self._told, self._lost = serial, told, lost
        self._telegrams = op.Telegrams()
        self._undecodable = 0
        self._lease: Lease | None = None
        self._spoke_s, self._echoes = 0.0, 0
        self._beat: asyncio.TimerHandle | None = None
        self._awaited: tuple[int, asyncio.Future[Message | str]] | None = None
        serial.attach(self._take)

    @property
    def damaged(self) -> int:
        """Runs of bytes that are no telegram, and telegrams that are no message."""
        return self._telegrams.damaged + self._undecodable

    async def ask(self, lease: Lease, message: Message) -> Message:
        """The answer to a message that may be sent twice: it is, in a session begun anew, if no good answer comes.

        Raises as `exchange`.
        """
        try:
            await self._begin(lease)
            return await self.exchange(lease, message)
        except (DeviceTimeout, ReplyInvalid, DeviceRestarted):
            await self._begin(lease)
            return await self.exchange(lease, message)

    async def exchange(self, lease: Lease, message: Message) -> Message:
        """Send a message, once, and return its answer, a refusal only if it is the message's harmless one.

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
            if waiting.cancelled() or not waiting.done():
                self.open = False
        lease.touch()
        if isinstance(answer, str):
            raise ReplyInvalid(DEVICE, answer)
        if isinstance(answer, op.CommandError):
            self._require_harmless(message, answer)
        return answer

    def hand_over(self, message: Message) -> None:
        """Give one telegram to the link without a lease. Raises LinkDown, TxFull."""
        self._serial.write(_encoded(message))

    def _require_harmless(self, message: Message, error: op.CommandError) -> None:
        if error.code == ErrorCode.INVALID_DATA:
            self.open = False
            raise DeviceRestarted(DEVICE, f"{error.text}; it has no session any more, check its supply")
        if error.code != _HARMLESS.get(type(message)):
            raise DeviceRefused(DEVICE, f"{error.text}; {_ADVICE.get(error.code, _REPORT)}")

    async def _begin(self, lease: Lease) -> None:
        """See that there is a session in which results and alarms are subscribed to."""
        self._lease = lease
        if not self.open:
            started = await self.exchange(lease, op.CommunicationStart())
            if isinstance(started, op.CommandError) and not self.identity:
                await self.exchange(lease, op.CommunicationStop())
                started = await self.exchange(lease, op.CommunicationStart())
            if isinstance(started, op.CommunicationStarted):
                self.identity = f"{started.controller}, cell {started.cell}, channel {started.channel}"
                self.number += 1
                self._told(started)
            await self.exchange(lease, op.SubscribeResults())
            await self.exchange(lease, op.SubscribeAlarms())
            self.open = True
        if self._beat is None:
            self._keep_alive()

    def _write(self, message: Message, lease: Lease) -> None:
        self._serial.write(_encoded(message), lease)
        self._spoke_s = asyncio.get_running_loop().time()

    def _keep_alive(self) -> None:
        """Say something before the controller misses it, while there is a session and the lease lasts."""
        self._beat, loop = None, asyncio.get_running_loop()
        if not self.open or self._lease is None or self._lease.revoked:
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
        self.open = False
        self._lost()

    def _take(self, data: bytes, t_s: float) -> None:
        for telegram in self._telegrams.feed(data):
            try:
                self._hear(telegram.mid, op.message_of(telegram))
            except Malformed as error:
                self._undecodable += 1
                self._hear(telegram.mid, str(error))

    def _hear(self, mid: int, message: Message | str) -> None:
        """A message, or why a telegram is none."""
        if mid in _ACKNOWLEDGEMENTS:
            self._acknowledge(mid)
        if mid == _RESULT or isinstance(message, op.Alarm | op.AlarmStatus | op.AlarmAcknowledged):
            self._told(message)
        elif isinstance(message, op.CommandAccepted | op.CommandError):
            self._resolve(message.mid, message)
        else:
            if isinstance(message, op.KeepAlive):
                self._echoes += 1
            self._resolve(_ANSWERED.get(mid), message)

    def _acknowledge(self, mid: int) -> None:
        if self._lease is not None:
            with contextlib.suppress(LeaseRevoked, LinkDown, TxFull):
                self._write(_ACKNOWLEDGEMENTS[mid], self._lease)

    def _resolve(self, asked: int | None, answer: Message | str) -> None:
        """An answer to the message of this MID."""
        if asked == _KEEP_ALIVE and isinstance(answer, op.CommandError):
            self._lose()
        only_accepted = isinstance(answer, op.CommandAccepted) and asked in _ANSWERED.values()
        awaited, waiting = self._awaited or (None, None)
        if waiting is not None and awaited == asked and not waiting.done() and not only_accepted:
            waiting.set_result(answer)
        elif asked != _KEEP_ALIVE:
            self.strays += 1


def _encoded(message: Message) -> bytes:
    try:
        return op.encode(op.to_telegram(message))
    except Malformed as error:
        raise DeviceRefused(DEVICE, f"cannot be told: {error}; check the recipe") from None
