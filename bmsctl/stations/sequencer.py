"""The owner task of a station.

It awaits nothing but its mailbox, alone fires the PackML table, owns the leases and the safety action, and
answers the PLC's challenge itself: only while the running step is inside its budget and its devices speak.
Hung code therefore falls silent and the PLC removes energy without us. Everything it does is synchronous;
whatever takes time is a child task that reports back through the mailbox.

Abort is synchronous: revoke the leases, drop the permit, cancel the run, start make_safe. It never waits
for the run: cancellation is a courtesy, the revoked lease is the fence.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.packml import Event, State
from bmsctl.domain.ports import Challenge, Plc, PlcStatus, TripCause
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import BmsctlError, Refused, RunStopped, StepInvalid, StoreError
from bmsctl.stations.job import Job, RunEnd
from bmsctl.stations.life import Life
from bmsctl.stations.mailbox import Abort, Command, Mailbox, Message, Prepared, StepBoundary, TaskDone, Tripped
from bmsctl.stations.safe import SafeReport, SafetyAction
from bmsctl.stations.scope import RunScope

PLC_SILENT_S = 0.3
STALL_S = 0.3
SAFE_ATTEMPTS_MAX = 10
STOPPED = "stopped by the operator"

_TRIP_REASONS = {
    TripCause.ESTOP: ("the emergency stop was pressed", Verdict.ABORTED),
    TripCause.GUARD: ("the guard was opened", Verdict.ABORTED),
    TripCause.WATCHDOG: ("the safety PLC missed the sequencer's answers and removed energy", Verdict.INVALID),
    TripCause.SAFE_STOP_TIMEOUT: (
        "the outer poles were not below 60 V 5 s after the safety PLC had cut: do not touch pack or station, call the "
        "electrician; suspect the discharge resistor or welded contactors",
        Verdict.INVALID,
    ),
    TripCause.VOLTMETER: (
        "the safety PLC's two voltmeters disagree: nothing is proved below 60 V, call the electrician",
        Verdict.INVALID,
    ),
    TripCause.NONE: ("the safety PLC withdrew the permissive", Verdict.INVALID),
}


class Sequencer:
    """Runs jobs on one station, one at a time."""

    def __init__(self, plc: Plc, leases: LeaseBook, make_safe: SafetyAction, now: Callable[[], float]) -> None:
        self._plc = plc
        self._leases = leases
        self._make_safe = make_safe
        self._now = now
        self._mailbox = Mailbox()
        self._life = Life()
        self._moved = asyncio.Event()
        self._job: Job | None = None
        self._scope = RunScope(self._mailbox.post, now)
        self._end: RunEnd | None = None
        self._outcome: asyncio.Future[Any] | None = None
        self._run_task: asyncio.Task[None] | None = None
        self._safe_task: asyncio.Task[SafeReport] | None = None
        self._safe_attempts = 0
        self._close_task: asyncio.Task[Any] | None = None
        self._last_challenge_s: float | None = None
        self._last_answer_s: float | None = None
        self._proved = False
        self._why = ""
        self._dead: StepInvalid | None = None

    @property
    def state(self) -> State:
        """PackML state."""
        return self._life.state

    @property
    def proved(self) -> bool:
        """Whether the last make_safe ended in the PLC's proof of no voltage."""
        return self._proved

    @property
    def why(self) -> str:
        """Why the station was last aborted or stopped."""
        return self._why

    @property
    def last_answer_s(self) -> float | None:
        """Loop time of the last answer to the PLC's challenge; None before the first."""
        return self._last_answer_s

    def prove_dead_man(self) -> None:
        """Answer no challenge any more until the run under way has ended; the trip that this brings is no abort.

        Takes energy away and can do nothing else: everything that ends a run still does.
        """
        self._scope.proving_dead_man = True

    async def own(self) -> None:
        """The owner task. Never ends by itself; if it is ended, nothing stays permitted and nobody waits."""
        self._plc.listen(self._mailbox.post, self._on_status)
        self._watch_plc()
        try:
            while True:
                message = await self._mailbox.get()
                self._handle(message)
        finally:
            self._leases.revoke_all()
            self._make_safe.ask_off()
            self._dead = StepInvalid("the station's owner task has ended; restart the station")
            self._moved.set()
            for waiting in (self._outcome, *self._mailbox.replies()):
                if waiting is not None and not waiting.done():
                    waiting.set_exception(self._dead)
                    waiting.exception()

    async def command(self, event: Event) -> None:
        """Reset, hold, unhold, stop or clear; returns when taken.

        Raises:
            Refused: not possible in this state.
            StepInvalid: the owner task has ended.
        """
        await self._ask(Command(event, asyncio.get_running_loop().create_future()))

    async def start(self, job: Job) -> asyncio.Future[Any]:
        """Start a job; the future holds what `Job.close` returns, or the exception that prevented it.

        Raises:
            Refused: the station is not idle.
            StepInvalid: the owner task has ended.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Any] = loop.create_future()
        await self._ask(Command(Event.START, loop.create_future(), job, outcome))
        return outcome

    async def _ask(self, command: Command) -> None:
        if self._dead is not None:
            raise self._dead
        self._mailbox.post(command)
        await command.reply

    def abort(self, reason: str, verdict: Verdict = Verdict.ABORTED) -> None:
        """End whatever runs and make safe. Any number of times, from any callback on the loop."""
        self._mailbox.post(Abort(reason, verdict))

    async def until(self, *states: State) -> None:
        """Return when the station is in one of `states`; raises StepInvalid if the owner task has ended."""
        while self._life.state not in states:
            if self._dead is not None:
                raise self._dead
            await self._moved.wait()

    def _fire(self, event: Event) -> None:
        self._life.fire(event)
        self._moved.set()
        self._moved.clear()

    def _on_status(self, status: PlcStatus) -> None:
        if status.tripped or not (status.guard_closed and status.estop_released):
            self._mailbox.post(Tripped(status))

    def _watch_plc(self, due_s: float = math.inf) -> None:
        """Abort when the PLC falls silent; one lazy timer, re-armed for what is left. `due_s`: when it was to look."""
        now_s = self._now()
        heard_s = self._last_challenge_s if self._last_challenge_s is not None else now_s
        silent_s = now_s - heard_s
        if silent_s >= PLC_SILENT_S:
            if self._running and now_s - due_s > STALL_S:
                self.abort(f"the station computer stalled for {now_s - due_s:.2f} s", Verdict.INVALID)
            elif self._running:
                self.abort(f"plc: silent for {silent_s:.1f} s; check its supply and the CAN cable", Verdict.INVALID)
            silent_s = 0.0
        due_s = now_s + PLC_SILENT_S - silent_s + 0.001
        asyncio.get_running_loop().call_at(due_s, self._watch_plc, due_s)

    @property
    def _running(self) -> bool:
        """A run is under way, and may have anything switched on."""
        return self._job is not None and self._run_task is not None and self._end is None

    def _handle(self, message: Message) -> None:
        if isinstance(message, Challenge):
            self._on_challenge(message)
        elif isinstance(message, Abort):
            self._on_abort(message)
        elif isinstance(message, Tripped):
            self._on_trip(message.status)
        elif isinstance(message, TaskDone):
            self._on_task_done(message.task)
        elif isinstance(message, Prepared):
            if message.scope is self._scope and self._life.state is State.STARTING:
                self._fire(Event.STATE_COMPLETE)
        elif isinstance(message, StepBoundary):
            self._on_boundary(message)
        else:
            self._on_command(message)

    def _on_challenge(self, challenge: Challenge) -> None:
        last_s, self._last_challenge_s = self._last_challenge_s, challenge.t_s
        if self._running:
            breach = self._scope.breach()
            gap_s = max(self._now() - challenge.t_s, 0.0 if last_s is None else challenge.t_s - last_s)
            if breach is None and gap_s > STALL_S:
                breach = f"the station computer stalled for {gap_s:.2f} s"
            if breach is not None:
                self._on_abort(Abort(breach, Verdict.INVALID))
                return
            if self._scope.proving_dead_man:
                return
        self._last_answer_s = self._now()
        self._plc.answer(challenge)

    def _on_trip(self, status: PlcStatus) -> None:
        if self._job is None:
            return
        expected = self._scope.proving_dead_man and status.cause is TripCause.WATCHDOG
        if expected and status.guard_closed and status.estop_released:
            return
        cause = TripCause.NONE if expected else status.cause
        if cause is TripCause.NONE and not status.estop_released:
            cause = TripCause.ESTOP
        elif cause is TripCause.NONE and not status.guard_closed:
            cause = TripCause.GUARD
        self._on_abort(Abort(*_TRIP_REASONS[cause]))

    def _on_abort(self, abort: Abort) -> None:
        if self._life.state in (State.ABORTING, State.ABORTED) or self._close_task is not None:
            return
        earlier = f"{self._end.reason}; then " if self._end is not None and self._end.reason else ""
        self._why = earlier + abort.reason
        self._end = RunEnd(abort.verdict, self._why)
        self._fire(Event.ABORT)
        if self._safe_task is None:
            self._begin_safe()

    def _begin_safe(self) -> None:
        self._safe_attempts = 0
        self._try_safe()
        if self._run_task is not None:
            self._run_task.cancel()
        if self._job is not None:
            self._job.safing()

    def _try_safe(self) -> None:
        self._leases.revoke_all()
        self._make_safe.ask_off()
        self._safe_attempts += 1
        self._safe_task = self._child(self._make_safe.run())

    def _on_task_done(self, task: asyncio.Task[Any]) -> None:
        if task is self._run_task:
            self._on_run_done(task)
        elif task is self._safe_task:
            self._on_safe_done(task)
        elif task is self._close_task:
            self._on_close_done(task)

    def _on_run_done(self, task: asyncio.Task[None]) -> None:
        self._run_task = None
        ended = _end_of(task)
        if self._safe_task is not None or self._close_task is not None or self._job is None:
            return
        if self._end is None:
            self._end = ended
            if self._life.state is not State.STOPPING:
                self._fire(Event.RUN_DONE)
        self._begin_safe()

    def _on_safe_done(self, task: asyncio.Task[SafeReport]) -> None:
        if task.cancelled() or task.exception() is not None:
            if self._safe_attempts < SAFE_ATTEMPTS_MAX:
                self._try_safe()
                return
            failure = "make_safe: could not be completed; call the electrician"
            report = SafeReport(False, self._now(), failures=(failure,))
        else:
            report = task.result()
        self._safe_task = None
        self._leases.revoke_all()
        self._proved = report.voltage_free
        if self._job is not None and self._end is not None:
            self._close_task = self._child(self._job.close(self._end, report))
        else:
            self._end_acting_state(self._proved)

    def _on_close_done(self, task: asyncio.Task[Any]) -> None:
        self._close_task = None
        outcome, self._job, self._outcome = self._outcome, None, None
        error = StoreError("the record was not closed") if task.cancelled() else task.exception()
        self._end_acting_state(self._proved and error is None)
        if outcome is None or outcome.done():
            return
        if error is None:
            outcome.set_result(task.result())
        else:
            outcome.set_exception(error)

    def _end_acting_state(self, well: bool) -> None:
        """Leave an acting state; not proved below 60 V, or without its record, only towards Aborted."""
        if not well and self._life.state is not State.ABORTING:
            self._why = self._why or "not proved below 60 V"
            self._fire(Event.ABORT)
        self._fire(Event.STATE_COMPLETE)

    def _on_boundary(self, boundary: StepBoundary) -> None:
        if boundary.go.done() or boundary.scope is not self._scope:
            return
        if self._life.state is State.HOLDING:
            self._fire(Event.STATE_COMPLETE)
            self._scope.waiting = boundary.go
        elif self._life.state is State.STOPPING:
            boundary.go.set_exception(RunStopped(STOPPED))
        else:
            boundary.go.set_result(None)

    def _on_command(self, command: Command) -> None:
        if command.reply.done():
            return
        refusal = self._refusal(command)
        if refusal is not None:
            command.reply.set_exception(Refused(refusal))
            return
        self._fire(command.event)
        if command.event in (Event.RESET, Event.CLEAR):
            self._end, self._why = None, ""
            self._begin_safe()
        elif command.event is Event.START:
            self._begin_run(command)
        elif command.event is Event.HOLD:
            self._scope.holding = True
        elif command.event is Event.UNHOLD:
            self._fire(Event.STATE_COMPLETE)
            self._scope.release()
        elif command.event is Event.STOP:
            self._begin_stop()
        command.reply.set_result(None)

    def _refusal(self, command: Command) -> str | None:
        if not self._life.may(command.event):
            return f"{command.event} is not possible while the station is {self._life.state}"
        if command.event is Event.RESET and self._run_task is not None:
            return "the previous run has not ended yet; restart the station if it does not"
        return None

    def _begin_run(self, command: Command) -> None:
        assert command.job is not None
        self._job, self._outcome = command.job, command.outcome
        self._end = None
        self._scope = RunScope(self._mailbox.post, self._now)
        self._run_task = self._child(self._run(command.job, self._scope))

    def _begin_stop(self) -> None:
        self._why = STOPPED
        self._scope.holding = True
        if self._scope.waiting is not None:
            self._scope.stop(RunStopped(STOPPED))
        elif self._run_task is None and self._safe_task is None and self._close_task is None:
            self._begin_safe()

    async def _run(self, job: Job, scope: RunScope) -> None:
        await job.prepare(scope)
        self._mailbox.post(Prepared(scope))
        await job.execute(scope)

    def _child(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: self._mailbox.post(TaskDone(done)))
        return task


def _end_of(task: asyncio.Task[None]) -> RunEnd:
    """How a run ended that nothing from outside ended."""
    if task.cancelled():
        return RunEnd(Verdict.INVALID, "the run was cancelled")
    error = task.exception()
    if error is None:
        return RunEnd(None, "")
    if isinstance(error, RunStopped):
        return RunEnd(Verdict.ABORTED, str(error))
    internal = "" if isinstance(error, BmsctlError) else f"internal error: {type(error).__name__}: "
    return RunEnd(Verdict.INVALID, f"{internal}{error}")
