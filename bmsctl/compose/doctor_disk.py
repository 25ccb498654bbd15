"""Will records survive on this disk? Space, the right to write, the kind of file system, and what a flush takes.

Flushes are timed where the store is, or will be, on a file that has no name and is gone afterwards.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bmsctl.compose.check import Check, State, good

FREE_WARN_BYTES = 5_000_000_000
FREE_BAD_BYTES = 500_000_000
BLOCK_BYTES = 4096
FLUSHES = 100
FLUSHES_WITHIN_S = 2.0
FAST_S = 50e-6
"""Faster than any disk without a protected cache writes a block."""
SLOW_S = 0.1
"""Steps with high voltage wait for a flush."""
VOLATILE = frozenset({"tmpfs", "ramfs"})
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs", "ceph"})


def checks(store: Path) -> Iterator[Check]:
    """All of them; takes FLUSHES_WITHIN_S at most."""
    folder = existing(store)
    kind = file_system(folder, Path("/proc/self/mountinfo").read_text())
    yield kind_of_disk(folder, kind)
    yield free_space(shutil.disk_usage(folder).free)
    try:
        took_s = flush_times_s(folder)
    except OSError as error:
        remedy = "give the station's user the right to write there, or name another folder with --store"
        yield Check("store", State.BAD, f"{folder} cannot be written: {error.strerror}", remedy)
        return
    yield good("store", f"{folder} can be written")
    if kind not in VOLATILE:
        yield flushes(took_s)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.is_dir())


def file_system(folder: Path, mounts: str) -> str:
    """Type of the file system a folder is on, by the text of `/proc/self/mountinfo`; "unknown" if that does not say."""
    best, kind = -1, "unknown"
    real = folder.resolve()
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split(" ")[4].replace("\\040", " "))
        if real.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind


def kind_of_disk(folder: Path, kind: str) -> Check:
    """Does it keep what it is given, and lock as the store needs it?"""
    if kind in REMOTE:
        remedy = "put the store on a disk of this computer; its database cannot be shared over a network"
        return Check("disk", State.BAD, f"{folder} is on {kind}", remedy)
    if kind in VOLATILE:
        remedy = "put the store on a disk; here every record is lost with the power"
        return Check("disk", State.WARN, f"{folder} is in memory ({kind})", remedy)
    return good("disk", f"{folder} is on {kind}")


def free_space(free_bytes: int) -> Check:
    """Is there room for the records to come?"""
    seen = f"{free_bytes / 1e9:.1f} GB free"
    remedy = "move old stores elsewhere, or name another disk with --store"
    if free_bytes < FREE_BAD_BYTES:
        return Check("disk space", State.BAD, seen, remedy)
    if free_bytes < FREE_WARN_BYTES:
        return Check("disk space", State.WARN, seen, remedy)
    return good("disk space", seen)


def flush_times_s(folder: Path) -> list[float]:
    """How long each of many small appends took to reach the disk, as the disk says; OSError if none can be made."""
    took_s: list[float] = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        begun_ns = time.perf_counter_ns()
        while len(took_s) < FLUSHES and time.perf_counter_ns() - begun_ns < FLUSHES_WITHIN_S * 1e9:
            before_ns = time.perf_counter_ns()
            file.write(bytes(BLOCK_BYTES))
            os.fsync(file.fileno())
            took_s.append((time.perf_counter_ns() - before_ns) / 1e9)
    return took_s


def flushes(took_s: Sequence[float]) -> Check:
    """Does the disk really write when told to, and soon enough?"""
    median_s = statistics.median(took_s)
    worst_s = sorted(took_s)[-1 - len(took_s) // 100]
    seen = f"{len(took_s)} flushes: half within {median_s * 1e3:.2g} ms, 99 % within {worst_s * 1e3:.2g} ms"
    if median_s < FAST_S:
        remedy = (
            "no plain disk is that fast: it, or the virtual machine, may only pretend; "
            "use one with power-loss protection, or switch its write cache off"
        )
        return Check("flush", State.WARN, seen, remedy)
    if worst_s > SLOW_S:
        return Check("flush", State.WARN, seen, "steps with high voltage wait for it; use a faster disk")
    return good("flush", seen)
