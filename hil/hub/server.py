"""The hub's sockets and its loop: one epoll over all channels of a folder.

The folder is the user's alone (mode 0700), so whoever can open a socket may also control the channel. A
lock on the folder tells a living hub from the sockets that a dead one has left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hil.hub import packets
from hil.hub.channel import Channel
from hil.hub.connection import READ, Connection
from hil.hub.packets import PacketInvalid

SUFFIX = ".can"
READ_BATCH = 64
"""Packets read from one client before the next has its turn."""
WAITING_MAX = 64
"""Connections not yet accepted."""


class HubRefused(Exception):
    """The hub cannot start here. The text says why, and what to do."""


class Hub:
    """Carries frames until told to stop. `clock_ns` is monotonic."""

    def __init__(self, folder: Path, names: Iterable[str], queue_max: int, clock_ns: Callable[[], int]) -> None:
        self._folder = folder
        self._names = tuple(names)
        self._queue_max = queue_max
        self._clock_ns = clock_ns
        self._epoll = select.epoll()
        self._channels: list[Channel] = []
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._connections: dict[Connection, Channel] = {}
        self._running = True

    def stop_on(self, fd: int) -> None:
        """Make `serve` return once `fd` is readable."""
        self._epoll.register(fd, READ)
        self._handlers[fd] = self._stop

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Own the folder and listen on one socket per channel.

        Raises:
            HubRefused: another hub lives here, or the folder cannot be used.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self._epoll.close)
            stack.enter_context(_folder_owned(self._folder))
            for name in self._names:
                path = self._folder / (name + SUFFIX)
                listener = stack.enter_context(_listener(path))
                channel = Channel(self._clock_ns)
                self._channels.append(channel)
                self._epoll.register(listener, READ)
                self._handlers[listener.fileno()] = self._acceptor(listener, channel)
            try:
                yield
            finally:
                for client in tuple(self._connections):
                    self._close(client)

    def serve(self) -> None:
        """Forward until stopped."""
        while self._running:
            for fd, events in self._epoll.poll(self._wait_s()):
                handler = self._handlers.get(fd)
                if handler is not None:
                    handler(events)
            for channel in self._channels:
                channel.run_due()

    def _stop(self, events: int) -> None:
        self._running = False

    def _wait_s(self) -> float | None:
        dues = [due for channel in self._channels if (due := channel.next_due_ns()) is not None]
        return max(0.0, (min(dues) - self._clock_ns()) / 1e9) if dues else None

    def _acceptor(self, listener: socket.socket, channel: Channel) -> Callable[[int], None]:
        def accept(events: int) -> None:
            try:
                sock, _ = listener.accept()
            except OSError:
                return  # the client has given up
            sock.setblocking(False)
            client = Connection(sock, self._queue_max, self._epoll.modify)
            self._connections[client] = channel
            self._epoll.register(sock, READ)
            self._handlers[sock.fileno()] = lambda events: self._on_client(client, channel, events)

        return accept

    def _on_client(self, client: Connection, channel: Channel, events: int) -> None:
        if events & select.EPOLLOUT:
            client.flush()
        if events & ~select.EPOLLOUT:
            self._read(client, channel)

    def _read(self, client: Connection, channel: Channel) -> None:
        for _ in range(READ_BATCH):
            try:
                packet = client.sock.recv(packets.PACKET_MAX)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            try:
                if packet:
                    channel.handle(client, packet)
                    continue
            except PacketInvalid as error:
                client.refuse(str(error))
            self._close(client)
            return

    def _close(self, client: Connection) -> None:
        self._connections.pop(client).leave(client)
        del self._handlers[client.sock.fileno()]
        self._epoll.unregister(client.sock)
        client.close()


@contextlib.contextmanager
def _folder_owned(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise HubRefused(f"{folder} cannot be used: {error.strerror}; name a folder that you may write to") from error
    try:
        if os.fstat(fd).st_mode & 0o077:
            raise HubRefused(f"{folder} is open to other users; name another folder or run: chmod 700 {folder}")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HubRefused(f"another hub is running in {folder}; use it, or end it first") from None
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    if path.is_symlink() or (path.exists() and not stat.S_ISSOCK(path.stat().st_mode)):
        raise HubRefused(f"{path} exists and is no socket; remove it or name another folder")
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as listener:
        try:
            listener.bind(str(path))
        except OSError as error:
            raise HubRefused(f"cannot listen on {path}: {error}; a shorter folder name may help") from error
        try:
            listener.listen(WAITING_MAX)
            yield listener
        finally:
            path.unlink(missing_ok=True)
