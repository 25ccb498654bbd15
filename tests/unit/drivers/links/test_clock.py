"""The station PC's clock: wall time with its quality, and work beside the loop that cannot harm it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import NoReturn

import pytest

from bmsctl.drivers.links import clock
from bmsctl.drivers.links.clock import SystemClock, kernel_clock_disciplined
from tests.unit.drivers.links.waiting import until


@pytest.mark.parametrize(("state", "quality"), [(0, "synchronised"), (4, "synchronised"), (5, "free"), (-1, "free")])
def test_wall_time_is_the_systems_with_the_kernels_word_for_it(
    monkeypatch: pytest.MonkeyPatch, state: int, quality: str
) -> None:
    monkeypatch.setattr(clock, "_LIBC", SimpleNamespace(ntp_adjtime=lambda buffer: state))
    before_s = time.time()
    utc = SystemClock().utc()
    assert before_s <= utc.unix_s <= time.time()
    assert utc.quality == quality


def test_the_kernel_can_be_asked() -> None:
    assert kernel_clock_disciplined() in (True, False)


def test_work_runs_in_a_daemon_thread_and_its_result_comes_back() -> None:
    def work(a: int, b: int) -> tuple[int, threading.Thread]:
        return a + b, threading.current_thread()

    async def main() -> None:
        result, thread = await SystemClock().offload(work, 1, 2, cost_s=0.1)
        assert result == 3
        assert thread is not threading.main_thread()
        assert thread.daemon

    asyncio.run(main())


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)])
def test_what_work_raises_comes_back(error: BaseException) -> None:
    def work() -> NoReturn:
        raise error

    async def main() -> None:
        with pytest.raises(type(error)) as raised:
            await SystemClock().offload(work, cost_s=0.0)
        assert raised.value is error

    asyncio.run(main())


def test_even_stop_iteration_ends_the_wait() -> None:
    def work() -> NoReturn:
        raise StopIteration

    async def main() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await SystemClock().offload(work, cost_s=0.0)

    asyncio.run(main())


def test_a_cancelled_caller_leaves_at_once_and_the_work_goes_on() -> None:
    started, let_go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        let_go.wait()
        done.set()

    async def main() -> None:
        task = asyncio.create_task(SystemClock().offload(work, cost_s=0.0))
        await until(started.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not done.is_set()
        let_go.set()
        await until(done.is_set)

    asyncio.run(main())


def test_one_work_that_hangs_holds_up_no_other() -> None:
    let_go = threading.Event()

    async def main() -> None:
        clock = SystemClock()
        hanging = asyncio.create_task(clock.offload(let_go.wait, cost_s=0.0))
        assert await clock.offload(lambda: "done", cost_s=0.0) == "done"
        let_go.set()
        assert await hanging

    asyncio.run(main())


HANGING = """
import asyncio, threading
from bmsctl.drivers.links import clock
from bmsctl.drivers.links.clock import SystemClock

async def main():
    task = asyncio.ensure_future(SystemClock().offload(threading.Event().wait, cost_s=0.0))
    await asyncio.sleep(0)

asyncio.run(main())
"""


def test_work_that_hangs_does_not_keep_the_process() -> None:
    assert subprocess.run([sys.executable, "-c", HANGING], timeout=60).returncode == 0
