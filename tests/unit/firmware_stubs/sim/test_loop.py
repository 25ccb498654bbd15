"""The virtual loop behaves as asyncio promises, without waiting."""

from __future__ import annotations

import asyncio

import pytest

from firmware_stubs.sim.loop import SimulationStuck, VirtualLoop, run


def now() -> float:
    return asyncio.get_running_loop().time()


def test_sleep_takes_virtual_time_exactly() -> None:
    async def main() -> float:
        await asyncio.sleep(1e6)
        return now()

    assert run(main(), 2e6) == 1e6


def test_timeout_fires_at_its_time_and_not_before() -> None:
    async def main() -> float:
        async with asyncio.timeout(2.0):
            await asyncio.sleep(1.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await asyncio.sleep(5.0)
        return now()

    assert run(main(), 10.0) == 3.0


def test_ties_run_in_the_order_scheduled() -> None:
    seen: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(50):
            loop.call_at(1.0, seen.append, number)
        await asyncio.sleep(1.0)
        await asyncio.sleep(0)

    run(main(), 10.0)
    assert seen == list(range(50))


def test_a_lost_wake_up_is_an_error_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(SimulationStuck, match="lost wake-up"):
        run(main(), 10.0)


def test_the_end_time_stops_a_run_that_periodic_timers_keep_alive() -> None:
    async def main() -> None:
        def again() -> None:
            asyncio.get_running_loop().call_later(1.0, again)

        again()
        await asyncio.get_running_loop().create_future()

    with pytest.raises(SimulationStuck, match="end time of 100 s"):
        run(main(), 100.0)


def test_a_blocked_callback_makes_timers_late_not_lost() -> None:
    seen: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.call_at(0.5, lambda: seen.append(now()))
        loop.block(2.0)
        await asyncio.sleep(0.1)

    run(main(), 10.0)
    assert seen == [2.0]


def test_threads_are_refused() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, int)

    with pytest.raises(RuntimeError, match="real time"):
        run(main(), 1.0)


def test_an_exception_in_a_callback_is_kept_and_the_loop_goes_on() -> None:
    loop = VirtualLoop()

    async def main() -> float:
        asyncio.get_running_loop().call_later(0.5, int, "no number")
        await asyncio.sleep(1.0)
        return now()

    assert loop.run_until(main(), 10.0) == 1.0
    assert [type(error["exception"]) for error in loop.errors] == [ValueError]
