"""The instrument's end of a line that is carried by TCP: a port of this computer, for one client at a time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable

from firmware_stubs.ports import Pieces

HOST = "127.0.0.1"
READ_BYTES = 65_536


class TcpEnd:
    """Driven by the running loop; implements DisturbedSerial."""

    def __init__(self, tap: Callable[[bytes], None]) -> None:
        """`tap`: called with what the station sent before the instrument hears it."""
        self.muted = False
        self.tamper: Callable[[bytes], Pieces] | None = None
        self._loop = asyncio.get_running_loop()
        self._tap = tap
        self._sink: Callable[[bytes], None] | None = None
        self._waiting: deque[bytes] = deque()
        self._last_s = 0.0
        self._port = 0
        self._server: socket.socket | None = None
        self._client: socket.socket | None = None
        self.unplug(False)

    @property
    def url(self) -> str:
        """Where the station finds it."""
        return f"socket://{HOST}:{self._port}"

    def emit(self, data: bytes, delay_s: float = 0.0) -> None:
        if self.muted:
            return
        for extra_s, piece in ((0.0, data),) if self.tamper is None else self.tamper(data):
            self._last_s = max(self._loop.time() + delay_s + extra_s, self._last_s)
            self._waiting.append(piece)
            self._loop.call_at(self._last_s, self._send_next)

    def listen(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink

    def unplug(self, on: bool) -> None:
        """The device server goes, or comes back on the same port."""
        if on:
            self.close()
        else:
            self._server = socket.create_server((HOST, self._port))
            self._server.setblocking(False)
            self._port = self._server.getsockname()[1]
            self._loop.add_reader(self._server, self._accept)

    def close(self) -> None:
        """Let the client go, and take no other. Idempotent."""
        self._hang_up()
        if self._server is not None:
            self._loop.remove_reader(self._server)
            self._server.close()
            self._server = None

    def _accept(self) -> None:
        assert self._server is not None
        self._hang_up()
        self._client, _ = self._server.accept()
        self._client.setblocking(False)
        self._loop.add_reader(self._client, self._read)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._loop.remove_reader(self._client)
            self._client.close()
            self._client = None

    def _read(self) -> None:
        assert self._client is not None
        try:
            data = self._client.recv(READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._hang_up()
            return
        self._tap(data)
        if self._sink is not None and not self.muted:
            self._sink(data)

    def _send_next(self) -> None:
        """What was emitted first; lost if nobody is connected, or if it does not read."""
        piece = self._waiting.popleft()
        if self._client is not None:
            with contextlib.suppress(ConnectionError, BlockingIOError):
                self._client.sendall(piece)
