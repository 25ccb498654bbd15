"""Clock, processors, and how late this computer wakes a program that has asked to be woken.

Measures the computer itself, outside any loop, hence the clock of the operating system.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

from bmsctl.compose.check import Check, State, good
from bmsctl.protocols.plc import CHALLENGE_PERIOD_S

NAP_MS = 1
WATCHED_S = 1.0
LATE_WARN_S = CHALLENGE_PERIOD_S / 5.0
RESOLUTION_MAX_S = 1e-6
PROCESSORS = 2
"""One for the loop, one for the threads that move bytes."""


def checks() -> Iterator[Check]:
    """All of them; takes WATCHED_S."""
    from bmsctl.drivers.links.clock import kernel_clock_disciplined

    yield processors(len(os.sched_getaffinity(0)))
    yield wall_clock(kernel_clock_disciplined())
    monotonic = time.get_clock_info("monotonic")
    yield monotonic_clock(monotonic.resolution, monotonic.monotonic)
    yield timer(latest_wake_up_s())


def processors(count: int) -> Check:
    """Are there enough for loop and threads?"""
    if count >= PROCESSORS:
        return good("processors", str(count))
    remedy = f"give this computer {PROCESSORS} processors, or allow the station's user more of them"
    return Check("processors", State.WARN, str(count), remedy)


def wall_clock(disciplined: bool) -> Check:
    """Does somebody keep the time that records carry?"""
    if disciplined:
        return good("wall clock", "synchronised")
    remedy = "install chrony, or run sudo timedatectl set-ntp true; until then records say that their time is free"
    return Check("wall clock", State.WARN, "not synchronised", remedy)


def monotonic_clock(resolution_s: float, monotonic: bool) -> Check:
    """Can deadlines be trusted?"""
    seen = f"resolution {resolution_s * 1e9:g} ns"
    if monotonic and resolution_s <= RESOLUTION_MAX_S:
        return good("monotonic clock", seen)
    return Check("monotonic clock", State.BAD, seen, "use a kernel with high resolution timers")


def latest_wake_up_s() -> float:
    """How much later than asked the latest of many naps ended."""
    poll = select.poll()
    end_ns = time.perf_counter_ns() + round(WATCHED_S * 1e9)
    latest_ns = 0
    before_ns = time.perf_counter_ns()
    while before_ns < end_ns:
        poll.poll(NAP_MS)
        after_ns = time.perf_counter_ns()
        latest_ns = max(latest_ns, after_ns - before_ns - NAP_MS * 1_000_000)
        before_ns = time.perf_counter_ns()
    return latest_ns / 1e9


def timer(late_s: float) -> Check:
    """Is the station woken in time to answer its PLC?"""
    seen = f"a timer of {NAP_MS} ms came at most {late_s * 1e3:.1f} ms late within {WATCHED_S:g} s"
    remedy = "end other programs, switch off power saving, and keep virtual machines off this computer"
    if late_s >= CHALLENGE_PERIOD_S:
        return Check("timer", State.BAD, f"{seen}; the PLC asks every {CHALLENGE_PERIOD_S * 1e3:g} ms", remedy)
    if late_s >= LATE_WARN_S:
        return Check("timer", State.WARN, seen, remedy)
    return good("timer", seen)
