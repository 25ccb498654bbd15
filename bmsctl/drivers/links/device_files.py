"""Why a device file cannot be opened, and what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

BY_ID = Path("/dev/serial/by-id")


def trouble(path: str, number: int | None, otherwise: str) -> str:
    """What to tell when `path` cannot be opened for the reason `number` of errno; else `otherwise`."""
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission for {path}; add this user to the group dialout (sudo usermod -aG dialout USER)"
    if number in (errno.EAGAIN, errno.EBUSY):
        users = ", ".join(holders(path)) or "another program"
        return f"{path} is in use by {users}; end it, then try again"
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return f"there is no {path}; {_connected()}"
    return f"{path} cannot be opened: {otherwise}; check the cable and the adapter"


def holders(path: str) -> list[str]:
    """The processes that have this device file open, by name and number; of other users only root sees them."""
    target = os.path.realpath(path)
    return [
        f"{_name(process)} (process {process.name})"
        for process in Path("/proc").glob("[0-9]*")
        if target in _open_files(process)
    ]


def _open_files(process: Path) -> Iterator[str]:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        with suppress(OSError):
            yield os.readlink(descriptor)


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a program"


def _connected() -> str:
    try:
        names = sorted(entry.name for entry in BY_ID.iterdir())
    except OSError:
        names = []
    if not names:
        return f"nothing is connected under {BY_ID}: check that the adapter is plugged in"
    return f"connected under {BY_ID} are: {', '.join(names)}"
