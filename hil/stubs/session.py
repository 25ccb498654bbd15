"""From an empty bench to a pack's leaving it: the bench's side of the control channel, on one event loop.

A stub, like the firmware it stands for, has no end. So each pack has a loop of its own, and closing that takes the
stubs' timers and tasks with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bmsctl.errors import BmsctlError
from hil.control import LINE_MAX, VERSION, encode
from hil.layout import Layout
from hil.stubs.far_end import RealWires
from hil.stubs.mounted import MountedPack

Outcome = dict[str, Any]


class Ports(Protocol):
    """What outlives a session: wires on which stubs can sit, and what became of the last pack."""

    last: Outcome | None

    def wires(self) -> RealWires:
        """New wires over the bench's buses and serial ports."""
        ...


class Session:
    """Serves clients until a mounted pack has left. Build it inside its loop."""

    def __init__(self, ports: Ports, layout: Layout, listener: socket.socket) -> None:
        """`listener`: non-blocking; it stays open."""
        self._ports = ports
        self._layout = layout
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._wires: RealWires | None = None
        self._pack: MountedPack | None = None
        self._owner: socket.socket | None = None
        self._leaving = False
        self._clients: set[asyncio.Task[None]] = set()
        self._answers: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
            "finish": lambda request: self._leave(self._mounted().finish()),
            "step_started": lambda request: self._mounted().step_started(request["step"]),
            "disturb": lambda request: self._mounted().disturb(request["fault"], request["device"], request["on"]),
            "last": lambda request: self._ports.last,
            "traffic": lambda request: self._traffic(),
            "press_estop": lambda request: self._mounted().plc.press_estop(),
            "open_guard": lambda request: self._mounted().plc.open_guard(),
            "reset_plc": lambda request: self._mounted().plc.reset(),
        }

    async def serve(self) -> None:
        """Return when the pack has left, or after `end`."""
        self._loop.add_reader(self._listener, self._accept)
        try:
            await self._over.wait()
        finally:
            self._begin_to_leave()
            if self._wires is not None:
                self._wires.close()

    def end(self) -> None:
        """Serve no more. A signal handler may call it."""
        self._loop.call_soon_threadsafe(self._over.set)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            client = self._loop.create_task(self._serve(connection))
            self._clients.add(client)
            client.add_done_callback(self._clients.discard)

    def _begin_to_leave(self) -> None:
        """Whoever connects from now on waits for the next session."""
        self._leaving = True
        self._loop.remove_reader(self._listener)

    async def _serve(self, connection: socket.socket) -> None:
        """Answer one client until it goes. If it owns the pack, the pack goes too."""
        try:
            await self._converse(connection)
            if self._owner is connection and self._pack is not None and not self._leaving:
                self._leave(await self._pack.left_alone())
        finally:
            if self._leaving:
                self._over.set()

    async def _converse(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE_MAX)
        try:
            writer.write(encode({"bench": VERSION}))
            with contextlib.suppress(ConnectionError, ValueError):
                while not self._leaving and (line := await reader.readline()):
                    writer.write(self._answer(connection, _request(line)))
                    await writer.drain()
        finally:
            writer.close()

    def _answer(self, connection: socket.socket, request: Mapping[str, Any]) -> bytes:
        """The line to answer with; empty for a request without id."""
        do = str(request.get("do"))
        try:
            if do == "mount":
                said = {"ok": self._mount(connection, request)}
            elif do in self._answers:
                said = {"ok": self._answers[do](request)}
            else:
                said = {"error": f"unknown request {do!r}; known: mount, {', '.join(self._answers)}"}
        except (BmsctlError, LookupError, ValueError, TypeError) as error:
            said = {"error": str(error)}
        return encode({"id": request["id"], **said}) if "id" in request else b""

    def _mount(self, connection: socket.socket, request: Mapping[str, Any]) -> Any:
        if self._owner is not None:
            return {"busy": True}
        self._owner = connection
        try:
            self._wires = self._ports.wires()
            self._pack = MountedPack(request, self._layout, self._wires)
        except BaseException:
            self._begin_to_leave()
            raise
        return self._pack.facts()

    def _traffic(self) -> Any:
        return {"t_s": self._loop.time(), "wires": {} if self._wires is None else self._wires.traffic()}

    def _mounted(self) -> MountedPack:
        if self._pack is None:
            raise ValueError("no pack is on the bench")
        return self._pack

    def _leave(self, outcome: Outcome) -> Outcome:
        self._begin_to_leave()
        self._ports.last = outcome
        return outcome


def _request(line: bytes) -> Mapping[str, Any]:
    """Raises ValueError: no JSON object."""
    request = json.loads(line)
    if not isinstance(request, dict):
        raise ValueError("a request is a JSON object")
    return request
