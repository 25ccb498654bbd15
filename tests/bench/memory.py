"""The peak of a benchmark's memory."""

from __future__ import annotations

from pathlib import Path


def peak_kib() -> int:
    """Largest resident size of this process so far, KiB.

    getrusage would also count what the parent had when it started this process. Source: proc(5), VmHWM.
    """
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
