"""`python -m hil.hub FOLDER CHANNEL…`: carry CAN frames between processes until SIGTERM or SIGINT.

Writes "ready" on stdout when it listens. The socket of a channel is `FOLDER/<channel>.can`.
"""

from __future__ import annotations

import argparse
import re
import signal
import socket
import sys
import time
from pathlib import Path

from hil.hub.server import Hub, HubRefused


def _channel(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r}: a channel's name has only letters, digits, - and _")
    return text


def _queue(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: the queue holds at least 1 frame")
    return int(text)


def main() -> None:
    """Run the hub; SystemExit with a text if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m hil.hub", description="Carry CAN frames between processes.")
    parser.add_argument("folder", type=Path, help="folder of the sockets, accessible to this user alone")
    parser.add_argument("channel", type=_channel, nargs="+", help="name of a channel")
    parser.add_argument(
        "--queue",
        type=_queue,
        default=32768,
        metavar="FRAMES",
        help="frames kept for a client that does not keep up, before frames to it are dropped (%(default)s)",
    )
    arguments = parser.parse_args()
    # A handler must exist for the wake-up; the byte it writes ends the loop.
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    hub = Hub(arguments.folder, dict.fromkeys(arguments.channel), arguments.queue, time.monotonic_ns)
    hub.stop_on(woken.fileno())
    try:
        with hub.listening():
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            hub.serve()
    except HubRefused as refusal:
        sys.exit(f"hub: {refusal}")


if __name__ == "__main__":
    main()
