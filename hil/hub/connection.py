"""One client's connection to the hub: what waits to be sent to it, and what it missed."""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import socket
from collections import deque
from collections.abc import Callable

from hil.hub import packets
from hil.hub.node import Node

READ = select.EPOLLIN
READ_AND_WRITE = select.EPOLLIN | select.EPOLLOUT


class Connection:
    """A non-blocking socket with a bounded queue behind it.

    `watch(fd, events)` tells the loop what to wait for. `node` is None until the client has said hello, and
    for a controlling client.
    """

    __slots__ = ("_lost", "_queue", "_queue_max", "_status", "_watch", "control", "fd_capable", "node", "own", "sock")

    def __init__(self, sock: socket.socket, queue_max: int, watch: Callable[[int, int], None]) -> None:
        self.sock = sock
        self.node: Node | None = None
        self.control = self.fd_capable = self.own = False
        self._queue: deque[bytes] = deque()
        self._queue_max = queue_max
        self._lost = 0
        self._watch = watch
        self._status: mmap.mmap | None = None

    def welcome(self, options: int, status: int) -> None:
        """Accept the client and share its controller's status with it."""
        self.fd_capable = bool(options & packets.CAN_FD)
        self.own = bool(options & packets.RECEIVE_OWN)
        self.control = bool(options & packets.CONTROL)
        shared = os.memfd_create("can-controller-status", os.MFD_CLOEXEC)
        try:
            os.ftruncate(shared, 1)
            self._status = mmap.mmap(shared, 1)
            self._status[0] = status
            with contextlib.suppress(OSError):  # the client is gone, which the loop is told next
                socket.send_fds(self.sock, [bytes((packets.WELCOME, packets.VERSION))], [shared])
        finally:
            os.close(shared)

    def set_status(self, status: int) -> None:
        """Show the client `ACTIVE`, `PASSIVE` or `BUS_OFF`, whether or not it is reading."""
        if self._status is not None:
            self._status[0] = status

    def push(self, packet: bytes) -> None:
        """Send a frame; queue it if the client is slow; drop and count it if the queue is full."""
        if not self._queue:
            if self._sent(packet):
                return
            self._watch(self.sock.fileno(), READ_AND_WRITE)
        elif len(self._queue) >= self._queue_max:
            self._lost += 1
            if self.node is not None:
                self.node.dropped += 1
            return
        self._queue.append(packet)

    def push_first(self, packet: bytes) -> None:
        """Send a packet ahead of what is queued."""
        self._queue.appendleft(packet)
        self.flush()

    def flush(self) -> None:
        """Send what is queued as far as the client has room; what was dropped meanwhile is reported behind it."""
        while self._queue and self._sent(self._queue[0]):
            self._queue.popleft()
            if self._lost and len(self._queue) < self._queue_max:
                self._queue.append(packets.dropped(self._lost))
                self._lost = 0
        self._watch(self.sock.fileno(), READ_AND_WRITE if self._queue else READ)

    def refuse(self, why: str) -> None:
        """Tell the client why the connection will be closed."""
        self._sent(bytes((packets.REFUSED,)) + why.encode())

    def close(self) -> None:
        """Close the socket; a client sees the end of it."""
        self.sock.close()
        if self._status is not None:
            self._status.close()

    def _sent(self, packet: bytes) -> bool:
        try:
            self.sock.send(packet)
        except BlockingIOError:
            return False
        except OSError:
            pass  # the client is gone, which the loop is told next
        return True
