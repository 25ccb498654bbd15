"""A small file that is read and replaced whole: after a crash at any byte it holds the old content or the new one."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bmsctl.store.folder import sync_names


def read_file(path: Path, bytes_max: int) -> bytes:
    """The file's content, at most one byte more than it may have.

    Raises:
        OSError: no such file, or no regular one (a pipe would keep its reader waiting); says which.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return file.read(bytes_max + 1)


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Replace the file, or make it, with these permissions; durable on return. Raises OSError.

    One writer at a time; see `only_writer`.
    """
    unfinished = path.parent / f"{path.name}.part"
    with suppress(FileNotFoundError):
        os.unlink(unfinished)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    sync_names(path.parent)


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Wait until no other process writes the file, and keep others out; its folder must exist. Raises OSError."""
    handle = os.open(path.parent / f".{path.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
