"""Pseudo-terminals under stable names: what a station opens in place of an instrument's serial port."""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from pathlib import Path

FLUSH_BYTES = 65_536


class Pty:
    """One pseudo-terminal; `path` is a symbolic link to the end that a station opens.

    The bench holds that end open too, so that a station may come and go, and the line stays raw.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master = -1
        self._slave = -1
        self._name = ""
        self.plug()

    @property
    def plugged(self) -> bool:
        """Whether the port is there."""
        return self.master >= 0

    def plug(self) -> None:
        """Let the port appear; after `unplug` it is another device under the same link. Idempotent."""
        if self.plugged:
            return
        self.master, self._slave = _opened_other_than(self._name)
        self._name = os.ttyname(self._slave)
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self._name)

    def unplug(self) -> None:
        """Let the port vanish: whoever has it open finds it gone. Idempotent."""
        if not self.plugged:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self.master)
        self.master = self._slave = -1

    def flush(self) -> None:
        """Forget bytes that nobody has read, of both directions."""
        if not self.plugged:
            return
        termios.tcflush(self._slave, termios.TCIFLUSH)
        with contextlib.suppress(BlockingIOError):
            while os.read(self.master, FLUSH_BYTES):
                pass


def _opened_other_than(name: str) -> tuple[int, int]:
    """A new master and slave; not the device `name`, which the kernel would give out again first."""
    master, slave = os.openpty()
    if os.ttyname(slave) != name:
        return master, slave
    other = os.openpty()
    os.close(master)
    os.close(slave)
    return other
