"""The process in which a bench's stubs live: `python -m hil.stubs FOLDER KIND [BENCH_FILE]`.

Prints "ready" when it listens, and ends at SIGTERM or SIGINT. Buses, serial ports and the listening socket are
opened once and outlive the packs.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import click

from bmsctl.drivers.links.can_url import open_bus
from bmsctl.errors import BmsctlError
from hil.bench_file import STANDARD, read_bench_file
from hil.control import BenchError, answers
from hil.hub.control import HubControl, HubError
from hil.layout import STATION_NODE, CanKind, Layout
from hil.stubs.far_end import RealWires
from hil.stubs.ptys import Pty
from hil.stubs.session import Outcome, Session
from hil.warm import warm_up

STUBS_NODE = "stubs"
BACKLOG = 16


class Stubs:
    """The bench's wires with stubs on them, and one session after another; implements Ports."""

    def __init__(self, layout: Layout, listener: socket.socket, stack: ExitStack) -> None:
        """Open every wire that has stubs on it; `stack` closes them. Raises BmsctlError if a bus cannot be opened."""
        self._layout = layout
        self._listener = listener
        self._buses = {bus: open_bus(layout.url(bus, STUBS_NODE)) for bus in layout.stub_buses}
        self._ptys = {device: Pty(layout.port(device)) for device in layout.stub_instruments}
        for bus in self._buses.values():
            stack.callback(bus.shutdown)
        for pty in self._ptys.values():
            stack.callback(pty.unplug)
        self.last: Outcome | None = None
        self._off: set[str] = set()
        self._ended = False
        self._session: Session | None = None

    def wires(self) -> RealWires:
        for bus in tuple(self._off):
            self._bus_off(bus, False)
        return RealWires(self._buses, self._ptys, self._bus_off)

    def serve(self) -> None:
        """One pack after another, until `end`."""
        while not self._ended:
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(self._serve_one())
                loop.run_until_complete(_end_tasks())
            finally:
                loop.close()

    def end(self, number: int, frame: FrameType | None) -> None:
        """Serve no more; a signal handler."""
        self._ended = True
        if self._session is not None:
            self._session.end()

    async def _serve_one(self) -> None:
        self._session = Session(self, self._layout, self._listener)
        if self._ended:
            self._session.end()
        await self._session.serve()
        self._session = None

    def _bus_off(self, bus: str, on: bool) -> None:
        try:
            with HubControl(self._layout.channel(bus)) as hub:
                hub.bus_off(STATION_NODE, on)
        except HubError as error:
            raise BenchError(f"bus {bus}: {error}; start the station first") from None
        (self._off.add if on else self._off.discard)(bus)


async def _end_tasks() -> None:
    """Cancel what the stubs of a pack that has left still do."""
    rest = sorted(asyncio.all_tasks() - {asyncio.current_task()}, key=lambda task: task.get_name())
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket that takes clients at `path`, where only this user finds it.

    Raises:
        BenchError: a bench is up there already, or nothing can be made there.
    """
    if answers(path):
        raise BenchError(f"{path}: a bench is up there already; use it, or end it first")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            path.unlink(missing_ok=True)
            listener.bind(str(path))
        except OSError as error:
            raise BenchError(f"{path}: {error.strerror}; choose another folder") from None
        listener.listen(BACKLOG)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("kind", type=click.Choice([kind.value for kind in CanKind]))
@click.argument("bench_file", type=click.Path(dir_okay=False, path_type=Path), default=STANDARD)
def main(folder: Path, kind: str, bench_file: Path) -> None:
    """Serve the stubs of the bench in FOLDER."""
    try:
        layout = Layout(folder, read_bench_file(bench_file), CanKind(kind))
        with ExitStack() as stack:
            listener = stack.enter_context(listening(layout.control))
            stubs = Stubs(layout, listener, stack)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, stubs.end)
            warm_up()
            click.echo("ready")
            stubs.serve()
    except BmsctlError as error:
        click.echo(f"stubs: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
