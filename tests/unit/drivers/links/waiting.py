"""Waiting for what threads do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

PATIENCE_S = 20.0
"""Far longer than anything here takes, so that a stalled machine fails no test."""


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that a thread brings about."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + PATIENCE_S
    while not condition():
        assert loop.time() < deadline_s, f"waited {PATIENCE_S:g} s in vain"
        await asyncio.sleep(0.002)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine; every thread that it has started ends."""
    before = set(threading.enumerate())
    asyncio.run(main())
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(PATIENCE_S)
    left = [thread.name for thread in started if thread.is_alive()]
    assert left == [], f"still running: {left}"
