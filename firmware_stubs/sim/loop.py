# A virtual loop leaves out files, sockets, signals and processes, and refuses threads.
# mypy: disable-error-code="override, abstract"
"""An asyncio loop on virtual time: it starts at 0 and jumps to the next timer, so nothing ever waits.

Ties run in the order they were scheduled. Threads, executors and file descriptors are refused: they would
let real time in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from heapq import heappop, heappush
from typing import Any, NoReturn, TypeVar

from bmsctl.errors import BmsctlError

T = TypeVar("T")


class SimulationStuck(BmsctlError):
    """The main task waits for something that can no longer happen, or ran past its virtual end time."""


class Timer(list[Any]):
    """A scheduled callback: [when, sequence, callback, args, context], which a heap orders without calling back.

    Stands in for asyncio.Handle and TimerHandle at a fraction of their cost.
    """

    __slots__ = ()

    def cancel(self) -> None:
        """Never run; what the callback holds is let go."""
        self[2:] = _nothing, (), None

    def cancelled(self) -> bool:
        return self[2] is _nothing

    def when(self) -> float:
        return float(self[0])

    @property
    def resumes_task(self) -> bool:
        """Whether a task runs next, rather than a callback of a wire or a timer."""
        return type(self[2]).__name__ in ("TaskStepMethWrapper", "TaskWakeupMethWrapper")


def _nothing() -> None:
    """The callback of a cancelled timer."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """Heap of (when, sequence) and a ready queue; no selector."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._sequence = 0
        self._timers: list[Timer] = []
        self._ready: deque[Timer] = deque()
        self._errors: list[dict[str, Any]] = []
        self._closed = False

    def time(self) -> float:
        return self._now_s

    def block(self, duration_s: float) -> None:
        """Let time pass while the running callback holds the loop, as a long computation does."""
        self._now_s += duration_s

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Timer:
        timer = Timer((self._now_s, 0, callback, args, context))
        self._ready.append(timer)
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Timer:
        self._sequence = sequence = self._sequence + 1
        timer = Timer((self._now_s + delay, sequence, callback, args, context))
        heappush(self._timers, timer)
        return timer

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Timer:
        self._sequence = sequence = self._sequence + 1
        timer = Timer((when, sequence, callback, args, context))
        heappush(self._timers, timer)
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_until(self, main: Awaitable[T], until_s: float) -> T:
        """Run `main` to its end and return its result.

        Raises:
            SimulationStuck: nothing is left to run, or virtual time passed `until_s`.
        """
        asyncio._set_running_loop(self)
        try:
            task = asyncio.ensure_future(main, loop=self)
            self._run_ready()
            while not task.done():
                self._advance(until_s)
            return task.result()
        finally:
            self._end_tasks()
            asyncio._set_running_loop(None)

    def _end_tasks(self) -> None:
        """Let tasks that nobody waits for any more clean up, in no time."""
        for task in sorted(asyncio.all_tasks(self), key=lambda task: task.get_name()):
            task.cancel()
        self._run_ready()

    def _run_ready(self) -> None:
        """Call back until nothing is ready."""
        ready = self._ready
        while ready:
            self._call(ready.popleft())

    def _call(self, timer: Timer) -> None:
        """Call back, a task in its own context."""
        _, _, callback, args, context = timer
        try:
            if context is None:
                callback(*args)
            else:
                context.run(callback, *args)
        except Exception as error:
            self._errors.append({"message": f"exception in {callback}", "exception": error})

    def _advance(self, until_s: float) -> None:
        """Jump to the next timer and run it, with all that are due at the same moment, and what they make ready."""
        timers = self._timers
        while timers and timers[0][2] is _nothing:
            heappop(timers)
        if not timers:
            raise SimulationStuck(f"nothing left to happen at {self._now_s:.3f} s: {self._errors or 'a lost wake-up'}")
        first = heappop(timers)
        when = first[0]
        if when > until_s:
            raise SimulationStuck(f"the run passed its virtual end time of {until_s:.0f} s")
        if when > self._now_s:
            self._now_s = when
        ready, now_s = self._ready, self._now_s
        while timers and timers[0][0] <= now_s:
            ready.append(heappop(timers))
        self._call(first)
        if ready:
            self._run_ready()

    def is_running(self) -> bool:
        return asyncio._get_running_loop() is self

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True

    def get_debug(self) -> bool:
        return False

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep the error; `errors` shows it. A callback's exception never stops the loop."""
        self._errors.append(context)

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Exceptions that escaped callbacks or were never retrieved."""
        return self._errors

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> NoReturn:
        raise RuntimeError("a thread would let real time into the simulation")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:
        raise RuntimeError("an executor would let real time into the simulation; use Clock.offload")

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> NoReturn:
        raise RuntimeError("a file descriptor would let real time into the simulation")


def new_loop() -> VirtualLoop:
    """A virtual loop at time 0."""
    return VirtualLoop()


def run(main: Awaitable[T], until_s: float) -> T:
    """Run `main` on a new virtual loop; raises as `VirtualLoop.run_until`."""
    return new_loop().run_until(main, until_s)
