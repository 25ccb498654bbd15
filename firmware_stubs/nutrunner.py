"""Firmware of the tightening controller: one client's session by Open Protocol, one tool, and a memory of results.

The tool turns when somebody pulls its trigger while it is enabled, and disables itself after one tightening. That needs
no session: what was enabled stays enabled when the client falls silent, and the result is kept. Disabled in the middle
of a tightening, the tool finishes it; until then it cannot be enabled anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from bmsctl.protocols import open_protocol as op
from bmsctl.protocols.open_protocol import ErrorCode, Malformed, Message, Result
from firmware_stubs.noise import draw
from firmware_stubs.nutrunner_outbox import Outbox
from firmware_stubs.nutrunner_records import (
    CELL,
    CHANNEL,
    CONTROLLER,
    PARAMETER_SETS,
    Memory,
    Neighbour,
    Setup,
    Transducers,
    time_of_day,
)
from firmware_stubs.ports import SerialPort

ANSWER_S = (0.005, 0.020)
TIGHTENING_S = (1.5, 4.0)
RESULT_S = (0.050, 0.150)

_KNOWN = {layout.mid: layout.revision for layout in op.LAYOUTS}


class Tool(Protocol):
    """What the tool is put onto."""

    def tighten(self, bolt: str, parameter_set: int) -> tuple[float, float]:
        """Tighten a bolt as the parameter set has it; the torque, Nm, and the angle from snug on, deg, it has then."""
        ...


class _Refused(Exception):
    """A message is answered by MID 0004."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code)
        self.code = code


class Session:
    """What the controller knows of its client. `results`, `alarms`: whether it has subscribed to them."""

    def __init__(self, outbox: Outbox, link: asyncio.TimerHandle) -> None:
        self.outbox = outbox
        self.link = link
        self.results = False
        self.alarms = False


class NutrunnerStub:
    """One controller on a serial line, or behind a serial server; build it inside a running loop."""

    def __init__(self, port: SerialPort, tool: Tool, seed: int) -> None:
        self._port = port
        self._tool = tool
        self._loop = asyncio.get_running_loop()
        self._latencies = draw(seed, "nutrunner.latency")
        self._durations = draw(seed, "nutrunner.duration")
        self._result_latencies = draw(seed, "nutrunner.result_latency")
        self._transducers = Transducers(seed)
        self._memory = Memory(seed)
        self._neighbour = Neighbour(seed, self._loop.time())
        self._tightenings = 0
        self._handlers = self._table()
        self.results_lost = False
        """Results are kept, and never sent by themselves."""
        self._session: Session | None = None
        self._tightening: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._lose_power()
        port.listen(self._take)

    @property
    def enabled(self) -> bool:
        """Whether the tool turns when its trigger is pulled."""
        return self._enabled and not self._alarm

    def pull(self, bolt: str) -> None:
        """Somebody holds the tool onto a bolt and pulls its trigger."""
        if self.enabled and self._tightening is None and self._parameter_set is not None:
            setup = Setup(self._vin, self._parameter_set)
            duration_s = float(self._durations.uniform(*TIGHTENING_S))
            self._tightening = self._loop.call_later(duration_s, self._finish, bolt, setup)

    def alarm(self, error: str) -> None:
        """Something is wrong with controller or tool; it turns no more until somebody acknowledges it there."""
        self._alarm = error
        if self._session is not None and self._session.alarms:
            self._say(op.Alarm(error, *self._ready(), time_of_day(self._loop.time())))

    def acknowledge_alarm(self) -> None:
        """Somebody acknowledges the alarm at the controller."""
        error, self._alarm = self._alarm, ""
        if self._session is not None and self._session.alarms:
            self._say(op.AlarmAcknowledged(error))

    def restart(self) -> None:
        """Its supply failed and came back: results and identifiers stay; a tightening under way leaves none."""
        self._end_session()
        if self._tightening is not None:
            self._tightening.cancel()
        self._lose_power()

    def _lose_power(self) -> None:
        self._telegrams = op.Telegrams()
        self._tightening = None
        self._enabled = False
        self._parameter_set: int | None = None
        self._vin = ""
        self._alarm = ""

    def _table(self) -> dict[type[Any], Callable[[Session, Any], Message | None]]:
        """What is done with each message of a client that has a session."""
        return {
            op.CommunicationStart: self._start_twice,
            op.CommunicationStop: self._stop,
            op.SelectParameterSet: self._select,
            op.SelectJob: self._select_job,
            op.RestartJob: self._restart_job,
            op.DisableTool: self._disable,
            op.EnableTool: self._enable,
            op.DownloadVin: self._download,
            op.SubscribeResults: self._subscribe_results,
            op.AcknowledgeResult: self._acknowledge_result,
            op.UnsubscribeResults: self._unsubscribe_results,
            op.RequestOldResult: self._old_result,
            op.SubscribeAlarms: self._subscribe_alarms,
            op.UnsubscribeAlarms: self._unsubscribe_alarms,
            op.AcknowledgeAlarm: lambda session, message: None,
            op.AcknowledgeAlarmAcknowledged: lambda session, message: None,
            op.AcknowledgeAlarmStatus: lambda session, message: None,
            op.KeepAlive: lambda session, message: message,
        }

    def _take(self, data: bytes) -> None:
        for telegram in self._telegrams.feed(data):
            self._catch_up()
            if self._session is not None:
                self._session.link.cancel()
                self._session.link = self._loop.call_later(op.LINK_TIMEOUT_S, self._end_session)
            try:
                answer = self._answer(telegram)
            except _Refused as refused:
                answer = op.CommandError(telegram.mid, refused.code)
            if answer is not None:
                self._say(answer)

    def _answer(self, telegram: op.Telegram) -> Message | None:
        try:
            message = op.message_of(telegram)
        except Malformed:
            if telegram.mid not in _KNOWN:
                raise _Refused(ErrorCode.UNKNOWN_MID) from None
            known = telegram.revision == _KNOWN[telegram.mid]
            raise _Refused(ErrorCode.INVALID_DATA if known else ErrorCode.REVISION_UNSUPPORTED) from None
        if self._session is None:
            return self._start(message)
        handler = self._handlers.get(type(message))
        if handler is None:
            raise _Refused(ErrorCode.UNKNOWN_MID)
        return handler(self._session, message)

    def _say(self, message: Message, delay_s: float | None = None) -> None:
        latency_s = float(self._latencies.uniform(*ANSWER_S)) if delay_s is None else delay_s
        self._port.emit(op.encode(op.to_telegram(message)), latency_s)

    def _start(self, message: Message) -> Message:
        if not isinstance(message, op.CommunicationStart):
            raise _Refused(ErrorCode.INVALID_DATA)
        link = self._loop.call_later(op.LINK_TIMEOUT_S, self._end_session)
        self._session = Session(Outbox(lambda result: self._say(result, 0.0)), link)
        return op.CommunicationStarted(CELL, CHANNEL, CONTROLLER)

    def _start_twice(self, session: Session, message: op.CommunicationStart) -> Message:
        raise _Refused(ErrorCode.CLIENT_ALREADY_CONNECTED)

    def _stop(self, session: Session, message: op.CommunicationStop) -> Message:
        self._end_session()
        return _accepted(message)

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.link.cancel()
            self._session.outbox.clear()
            self._session = None
        self._watch_neighbour()

    def _select(self, session: Session, message: op.SelectParameterSet) -> Message:
        if message.parameter_set not in PARAMETER_SETS:
            raise _Refused(ErrorCode.PARAMETER_SET_NOT_PRESENT)
        if self._tightening is not None:
            raise _Refused(ErrorCode.PARAMETER_SET_CANNOT_BE_SET)
        self._parameter_set = message.parameter_set
        return _accepted(message)

    def _select_job(self, session: Session, message: op.SelectJob) -> Message:
        raise _Refused(ErrorCode.JOB_NOT_PRESENT)

    def _restart_job(self, session: Session, message: op.RestartJob) -> Message:
        raise _Refused(ErrorCode.JOB_NOT_RUNNING)

    def _disable(self, session: Session, message: op.DisableTool) -> Message:
        # A controller that is told to stop forgets what it has still to send: it is in its memory only.
        session.outbox.clear()
        self._enabled = False
        return _accepted(message)

    def _enable(self, session: Session, message: op.EnableTool) -> Message:
        if self._alarm:
            raise _Refused(ErrorCode.COMMAND_FAILED)
        if self._tightening is not None:
            raise _Refused(ErrorCode.TOOL_IN_USE)
        if self._parameter_set is None:
            raise _Refused(ErrorCode.PARAMETER_SET_NOT_RUNNING)
        self._enabled = True
        return _accepted(message)

    def _download(self, session: Session, message: op.DownloadVin) -> Message:
        self._vin = message.vin
        return _accepted(message)

    def _subscribe_results(self, session: Session, message: op.SubscribeResults) -> Message:
        if session.results:
            raise _Refused(ErrorCode.RESULTS_ALREADY_SUBSCRIBED)
        session.results = True
        self._watch_neighbour()
        return _accepted(message)

    def _acknowledge_result(self, session: Session, message: op.AcknowledgeResult) -> None:
        session.outbox.acknowledge()

    def _unsubscribe_results(self, session: Session, message: op.UnsubscribeResults) -> Message:
        if not session.results:
            raise _Refused(ErrorCode.RESULTS_NOT_SUBSCRIBED)
        session.results = False
        session.outbox.clear()
        self._watch_neighbour()
        return _accepted(message)

    def _old_result(self, session: Session, message: op.RequestOldResult) -> Message:
        result = self._memory.find(message.tightening_id)
        if result is None:
            raise _Refused(ErrorCode.TIGHTENING_ID_NOT_FOUND)
        return result

    def _subscribe_alarms(self, session: Session, message: op.SubscribeAlarms) -> Message:
        if session.alarms:
            raise _Refused(ErrorCode.ALARMS_ALREADY_SUBSCRIBED)
        session.alarms = True
        self._say(_accepted(message))
        return op.AlarmStatus(bool(self._alarm), self._alarm, *self._ready(), time_of_day(self._loop.time()))

    def _unsubscribe_alarms(self, session: Session, message: op.UnsubscribeAlarms) -> Message:
        if not session.alarms:
            raise _Refused(ErrorCode.ALARMS_NOT_SUBSCRIBED)
        session.alarms = False
        return _accepted(message)

    def _ready(self) -> tuple[bool, bool]:
        """Whether the controller is ready, and the tool."""
        return not self._alarm, self.enabled

    def _finish(self, bolt: str, setup: Setup) -> None:
        """A tightening has ended."""
        self._tightening, self._enabled = None, False
        true = self._tool.tighten(bolt, setup.parameter_set)
        self._catch_up()
        measured = self._transducers.measured(self._tightenings, *true)
        self._tightenings += 1
        result = self._memory.keep(setup, *measured, self._loop.time())
        if not self.results_lost:
            self._offer(result)

    def _offer(self, result: Result) -> None:
        """Send a result if the client wants it."""
        delay_s = float(self._result_latencies.uniform(*RESULT_S))
        if self._session is not None and self._session.results:
            self._session.outbox.put(result, delay_s)

    def _catch_up(self) -> None:
        """Make the neighbour's tightenings that are due."""
        while self._neighbour.next.at_s <= self._loop.time():
            made = self._neighbour.take()
            result = self._memory.keep(made.setup, made.torque_nm, made.angle_deg, made.at_s)
            if made.strays:
                self._offer(result)

    def _watch_neighbour(self) -> None:
        """While a client waits for results, be there when the neighbour makes one; else they can be made up for."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._catch_up()
        if self._session is not None and self._session.results:
            self._watch = self._loop.call_at(self._neighbour.next.at_s, self._watch_neighbour)


def _accepted(message: Message) -> op.CommandAccepted:
    return op.CommandAccepted(op.mid_of(message))
