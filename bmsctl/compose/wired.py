"""Worlds with real wires: a station's links opened by its station file, on a real asyncio loop.

A signal only posts: the station makes itself safe and ends its run, and so `main`. What then still hangs is left
behind, for a task that swallows its cancellation must not keep a safe station's process. Where there is no station
that could make itself safe, a signal interrupts: at once while the site is being opened, then by cancelling `main`.
Code that keeps the loop from taking signals is interrupted in the same way, and the station goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from bmsctl.compose.run_tokens import default_file, new_token
from bmsctl.compose.station_file import StationFile
from bmsctl.domain.links import CanLink, Clock, SerialLink
from bmsctl.domain.ports import Mes, Operator
from bmsctl.domain.world import Site, StationWatch

T = TypeVar("T")

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LEAVE_WITHIN_S = 2.0
HUNG_S = 2.0
"""What has kept the loop from taking a signal for so long is interrupted by the next one."""


class WiredSite:
    """A station's surroundings behind real ports; implements Site. Made by `open_site`."""

    def __init__(
        self,
        station: StationFile,
        clock: Clock,
        buses: Mapping[str, CanLink],
        lines: Mapping[str, SerialLink],
        *,
        operator: Operator,
        mes: Mes,
        seed_key: Callable[[bytes], bytes],
        watch: StationWatch | None = None,
        tokens: Path | None = None,
    ) -> None:
        """`buses` and `lines` by device; `tokens`: where used run tokens are kept, by default the user's folder."""
        self.name = station.name
        self.serial_numbers = station.serial_numbers
        self.clock = clock
        self.operator = operator
        self.mes = mes
        self.watch = watch
        self._buses, self._lines = buses, lines
        self._seed_key = seed_key
        self._tokens = tokens or default_file()
        self._on_interrupt: Callable[[str], None] | None = None

    def can(self, device: str) -> CanLink:
        return self._buses[device]

    def serial(self, device: str) -> SerialLink:
        return self._lines[device]

    def seed_key(self, seed: bytes) -> bytes:
        return self._seed_key(seed)

    def record_id(self, *parts: str) -> str:
        return str(uuid.uuid4())

    def run_token(self, record_id: str) -> int:
        return new_token(self._tokens)

    def on_interrupt(self, callback: Callable[[str], None]) -> None:
        self._on_interrupt = callback

    def interrupt(self, signal_name: str) -> bool:
        """A signal came; whether anybody listens."""
        if self._on_interrupt is None:
            return False
        self._on_interrupt(signal_name)
        return True


@contextlib.contextmanager
def open_site(
    station: StationFile,
    *,
    operator: Operator,
    mes: Mes,
    seed_key: Callable[[bytes], bytes],
    watch: StationWatch | None = None,
    tokens: Path | None = None,
) -> Iterator[WiredSite]:
    """Open every port of a station inside the running loop; all that were opened are closed, however it ends.

    Raises:
        LinkDown: a port cannot be opened; says which, and what to add or plug.
    """
    from bmsctl.drivers.links.can_link import PythonCanLink
    from bmsctl.drivers.links.can_url import open_bus
    from bmsctl.drivers.links.clock import SystemClock
    from bmsctl.drivers.links.serial_link import PyserialLink

    loop = asyncio.get_running_loop()
    buses: dict[str, CanLink] = {}
    lines: dict[str, SerialLink] = {}
    with ExitStack() as opened:
        for port in station.can:
            bus = PythonCanLink(f"can.{port.name}", partial(open_bus, port.url), loop)
            opened.callback(bus.close)
            buses.update(dict.fromkeys(port.devices, bus))
        for device, line in station.serial.items():
            lines[device] = link = PyserialLink(device, line.port, line.baud, loop)
            opened.callback(link.close)
        yield WiredSite(
            station,
            SystemClock(),
            buses,
            lines,
            operator=operator,
            mes=mes,
            seed_key=seed_key,
            watch=watch,
            tokens=tokens,
        )


class WiredWorld:
    """A station on a real loop; implements World.

    Args:
        site: opens the site inside the running loop, and closes it.
    """

    def __init__(self, name: str, simulated: bool, site: Callable[[], AbstractContextManager[WiredSite]]) -> None:
        self.name = name
        self.simulated = simulated
        self.interrupted = False
        self._open = site
        self._opening = False
        self._site: WiredSite | None = None
        self._findings: list[str] = []

    def findings(self) -> list[str]:
        return list(self._findings)

    def run(self, main: Callable[[Site], Awaitable[T]]) -> T:
        """As World.

        Raises:
            KeyboardInterrupt: a signal came, and there was no station to end its run.
        """
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(self._note_error)
        task = loop.create_task(self._run(main))
        try:
            with self._signals(loop, task):
                try:
                    return _completed(loop, task)
                except asyncio.CancelledError:
                    if self.interrupted:
                        raise KeyboardInterrupt from None
                    raise
                finally:
                    loop.run_until_complete(self._leave())
                    loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    async def _run(self, main: Callable[[Site], Awaitable[T]]) -> T:
        self._opening = True
        with self._open() as site:
            self._opening, self._site = False, site
            try:
                return await main(site)
            finally:
                self._site = None

    async def _leave(self) -> None:
        """Cancel what still runs, and wait for it no longer than LEAVE_WITHIN_S."""
        rest = sorted(asyncio.all_tasks() - {asyncio.current_task()}, key=lambda task: task.get_name())
        for task in rest:
            task.cancel()
        await _ended(rest, LEAVE_WITHIN_S)
        stuck = [task for task in rest if not task.done()]
        self._findings += [f"a task did not end when it was cancelled: {task.get_coro()!r}" for task in stuck]

    def _note_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        told = f": {type(error).__name__}: {error}" if error is not None else ""
        self._findings.append(f"error in a callback: {context['message']}{told}")

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> Iterator[None]:
        """Hand each signal to the station while it runs, the hundredth like the first."""

        waits_since_s: float | None = None

        def post(name: str) -> None:
            nonlocal waits_since_s
            waits_since_s = None
            listened = self._site is not None and self._site.interrupt(name)
            if not listened and not task.cancelling():
                task.cancel()

        def take(number: int, frame: FrameType | None) -> None:
            nonlocal waits_since_s
            self.interrupted = True
            now_s = loop.time()
            loop.call_soon_threadsafe(post, signal.Signals(number).name)
            hung = waits_since_s is not None and now_s - waits_since_s > HUNG_S
            if self._opening or hung:
                self._opening, waits_since_s = False, None
                raise KeyboardInterrupt
            waits_since_s = now_s if waits_since_s is None else waits_since_s

        try:
            previous = {number: signal.signal(number, take) for number in ENDING}
        except ValueError:  # not the main thread: signals are somebody else's
            yield
            return
        try:
            yield
        finally:
            # One that comes in between must find either all of them or none.
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            for number, handler in previous.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def _completed(loop: asyncio.AbstractEventLoop, task: asyncio.Task[T]) -> T:
    """What the task returns. An interrupt ends what hung, not the station that is still to be made safe."""
    while True:
        try:
            return loop.run_until_complete(task)
        except KeyboardInterrupt:
            if task.done():
                raise


async def _ended(tasks: Sequence[asyncio.Task[Any]], within_s: float) -> None:
    """Wait until all tasks have ended, at most `within_s`; unlike `gather`, also if one swallows its cancellation."""
    moved = asyncio.Event()
    for task in tasks:
        task.add_done_callback(lambda _: moved.set())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            for task in tasks:
                while not task.done():
                    moved.clear()
                    await moved.wait()
