"""The station PC's clock: wall time with its quality, and work beside the loop."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import TypeVar

from bmsctl.domain.links import WallTime
from bmsctl.drivers.links.threads import beside

T = TypeVar("T")

_TIME_ERROR = 5
"""What ntp_adjtime returns while nothing disciplines the clock."""

_TIMEX_BYTES = 256
"""At least the size of struct timex. All zero: change nothing, only tell."""

_LIBC = ctypes.CDLL(None)


class SystemClock:
    """Implements Clock with the clock of the operating system."""

    def utc(self) -> WallTime:
        """Now; "synchronised" if the kernel says that a time service disciplines its clock, else "free"."""
        return WallTime(time.time_ns() / 1e9, "synchronised" if kernel_clock_disciplined() else "free")

    async def offload(self, fn: Callable[..., T], *args: object, cost_s: float) -> T:
        """Run `fn(*args)` in a daemon thread of its own, as long as it takes. Raises what it raises."""
        return await beside(fn, *args)


def kernel_clock_disciplined() -> bool:
    """Whether the kernel takes its clock as synchronised; not, if it will not say.

    Source: ntp_adjtime(3) of the C library, which chrony, ntpd and systemd-timesyncd all keep informed.
    """
    state = _LIBC.ntp_adjtime(ctypes.create_string_buffer(_TIMEX_BYTES))
    return 0 <= int(state) < _TIME_ERROR
