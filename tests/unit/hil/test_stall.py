"""Whether a stalled loop is noticed."""

from __future__ import annotations

import asyncio
import time

from hil.stall import LOOK_S, StallWatch

STALL_S = 5 * LOOK_S


def test_a_blocked_loop_is_noticed() -> None:
    async def main() -> float:
        watch = StallWatch()
        time.sleep(STALL_S)  # noqa: ASYNC251 - the stall itself
        await asyncio.sleep(0.001)
        watch.stop()
        return watch.longest_s

    assert asyncio.run(main()) >= STALL_S - LOOK_S


def test_a_watch_that_was_stopped_looks_no_more() -> None:
    async def main() -> float:
        watch = StallWatch()
        watch.stop()
        time.sleep(STALL_S)  # noqa: ASYNC251 - the stall itself
        await asyncio.sleep(2 * LOOK_S)
        return watch.longest_s

    assert asyncio.run(main()) == 0.0
