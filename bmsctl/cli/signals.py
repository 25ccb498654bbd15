"""Signals end a command with code 130; a command that owns a station takes them over to make safe first."""

from __future__ import annotations

import signal
import sys
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt, unless an interrupt is being dealt with: what ends in order must not be disturbed."""
    error = sys.exception()
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return
        error = error.__context__
    raise KeyboardInterrupt


def listen() -> None:
    """From now on an ending signal interrupts as Ctrl-C does."""
    for number in ENDING:
        signal.signal(number, _interrupt)


def ignore() -> None:
    """From now on none does: the command has its result and is about to end."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
