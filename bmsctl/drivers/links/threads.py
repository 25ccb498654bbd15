"""Owned daemon threads: those of a port, and one beside the loop for a single call.

They are daemons, and none belongs to an executor: a thread that hangs in a driver's C code must not keep the
process from ending.
"""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

T = TypeVar("T")

JOIN_S = 0.5
"""How long a port's threads may take to end before they are left to themselves."""


NAP_S = 0.001
"""How long what a port receives may gather before the loop is woken for it."""


def nap() -> None:
    """Let a receive thread rest for NAP_S. Waiting for an event would cost half as much CPU again."""
    select.select([], [], [], NAP_S)


class PortThreads:
    """The threads of one port. The last one that ends closes the port: closed earlier, it would be closed in use."""

    def __init__(
        self,
        device: str,
        targets: dict[str, Callable[[], None]],
        on_failure: Callable[[Exception], None],
        close: Callable[[], None],
    ) -> None:
        """`targets`: what each thread runs, by its name; `on_failure`: told, in the thread, what one died of."""
        self._on_failure = on_failure
        self._close = close
        self._running = len(targets)
        self._leaving = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(target,), name=f"{device} {name}", daemon=True)
            for name, target in targets.items()
        ]

    def start(self) -> None:
        """Start all of them."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether every one of them still runs."""
        return all(thread.is_alive() for thread in self._threads)

    def join(self) -> bool:
        """Wait, at most JOIN_S each, until all have ended; whether they have."""
        for thread in self._threads:
            thread.join(JOIN_S)
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, target: Callable[[], None]) -> None:
        try:
            target()
        except Exception as error:
            self._on_failure(error)
        finally:
            with self._leaving:
                self._running -= 1
                last = self._running == 0
            if last:
                # A driver that cannot even close leaves nothing to be done about it.
                with suppress(Exception):
                    self._close()


async def beside(fn: Callable[..., T], *args: object) -> T:
    """Run `fn(*args)` in a daemon thread of its own; its result, or what it raised.

    A caller that is cancelled does not wait for it; it runs to its end, and its result is dropped.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Callable[[], T]] = loop.create_future()

    def resolve(outcome: Callable[[], T]) -> None:
        if not done.done():
            done.set_result(outcome)

    def run() -> None:
        outcome: Callable[[], T]
        try:
            outcome = _returning(fn(*args))
        except BaseException as error:
            outcome = _raising(error)
        # With the loop closed nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(resolve, outcome)

    threading.Thread(target=run, name=f"beside {getattr(fn, '__name__', fn)}", daemon=True).start()
    return (await done)()


def _returning(value: T) -> Callable[[], T]:
    return lambda: value


def _raising(error: BaseException) -> Callable[[], NoReturn]:
    # A future does not take StopIteration as its exception; a function may raise anything.
    def outcome() -> NoReturn:
        raise error

    return outcome
