"""A client's first words with the hub."""

from __future__ import annotations

import mmap
import os
import socket
from pathlib import Path

from hil.hub import packets

ANSWER_S = 5.0
"""A hub that lives answers within a millisecond; a machine that stalls may take this long."""


def join(channel: Path, options: int, name: str) -> tuple[socket.socket, mmap.mmap]:
    """Connect to a channel's socket: a blocking socket, and the shared status byte of the controller.

    Raises:
        ConnectionError: nobody listens there, or the hub refuses; the text says why, and what to do.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.settimeout(ANSWER_S)
        try:
            sock.connect(str(channel))
            sock.send(packets.hello(options, name))
            answer, fds, _, _ = socket.recv_fds(sock, packets.PACKET_MAX, 1)
        except OSError as error:
            remedy = f"start it: python -m hil.hub {channel.parent} {channel.stem}"
            raise ConnectionError(f"no hub answers on {channel} ({error}); {remedy}") from error
        try:
            if answer[:1] == bytes((packets.REFUSED,)):
                raise ConnectionError(f"the hub on {channel} refuses {name!r}: {answer[1:].decode()}")
            if answer != bytes((packets.WELCOME, packets.VERSION)) or len(fds) != 1:
                raise ConnectionError(f"what listens on {channel} is no bench hub of this version")
            status = mmap.mmap(fds[0], 1, prot=mmap.PROT_READ)
        finally:
            for fd in fds:
                os.close(fd)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock, status
