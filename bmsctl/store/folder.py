"""The store's folder: one writer at a time, and names that survive a power cut."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bmsctl.errors import StoreError

LOCK_FILE = "lock"


def take_lock(folder: Path) -> int:
    """Descriptor of an exclusive lock on the folder; closing it, or the process's end, gives it back.

    Raises:
        StoreError: another process has it.
        OSError: the folder cannot be written.
    """
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreError(f"{folder}: the store is in use by another bmsctl; end that one first") from None
    return lock


def sync_names(folder: Path) -> None:
    """Make names created in the folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
