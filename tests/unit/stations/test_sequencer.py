"""The owner task against the real PLC driver and its stub, on the virtual and on the real loop.

On the real loop the same durations are scaled down where only their relation matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bmsctl.domain.lease import Lease
from bmsctl.domain.packml import Event, State
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import LeaseRevoked, Refused, StepInvalid
from bmsctl.stations.scope import RunScope
from firmware_stubs.sim.loop import VirtualLoop
from tests.support.bench import Bench

RunOn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


def _virtual(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = VirtualLoop()
    loop.run_until(main(), 200.0)
    assert loop.errors == []


def _real(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner() as runner:
        runner.run(main())


@pytest.fixture(params=["virtual", "real"])
def run(request: pytest.FixtureRequest) -> RunOn:
    return _virtual if request.param == "virtual" else _real


@pytest.fixture
def long_s(run: RunOn) -> float:
    """A long measurement."""
    return 20.0 if run is _virtual else 1.5


async def forever(bench: Bench, lease: Lease, scope: RunScope) -> None:
    while True:
        lease.touch()
        await asyncio.sleep(0.1)


def test_a_long_measurement_with_progress_runs_to_its_end(run: RunOn, long_s: float) -> None:
    async def measure(bench: Bench, lease: Lease, scope: RunScope) -> None:
        for _ in range(int(long_s / 0.1)):
            lease.touch()
            await asyncio.sleep(0.1)

    async def main() -> None:
        bench = Bench()
        await bench.start(measure)
        end = await bench.end(long_s + 5)
        assert (end.verdict, bench.sequencer.state) == (None, State.COMPLETE)
        assert not bench.stub.tripped

    run(main)


def test_a_long_declared_dwell_runs_to_its_end(run: RunOn, long_s: float) -> None:
    async def dwell(bench: Bench, lease: Lease, scope: RunScope) -> None:
        lease.quiet_for(long_s)
        await asyncio.sleep(long_s)

    async def main() -> None:
        bench = Bench()
        await bench.start(dwell)
        assert (await bench.end(long_s + 5)).verdict is None
        assert not bench.stub.tripped

    run(main)


def test_abort_revokes_at_once_and_ends_aborted(run: RunOn) -> None:
    async def main() -> None:
        bench = Bench()
        work = await bench.start(forever)
        bench.sequencer.abort("stopped by Jeanne")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert work.lease.revoked
        assert bench.output.commands[-1] == "OFF"
        end = await bench.end()
        assert (end.verdict, end.reason) == (Verdict.ABORTED, "stopped by Jeanne")
        assert bench.sequencer.state is State.ABORTED

    run(main)


def test_emergency_stop_ends_aborted_with_energy_already_gone(run: RunOn) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.start(forever)
        bench.stub.press_estop()
        end = await bench.end()
        assert end.verdict is Verdict.ABORTED
        assert "emergency stop" in end.reason
        assert bench.energy[-1][1] is False

    run(main)


def test_a_hundred_aborts_make_safe_once(run: RunOn) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.start(forever)
        before = bench.safe.runs
        for _ in range(100):
            bench.sequencer.abort("again")
            await asyncio.sleep(0.003)
        end = await bench.end()
        assert end.reason == "again"
        assert bench.safe.runs == before + 1
        assert bench.sequencer.state is State.ABORTED

    run(main)


def test_make_safe_is_started_again_however_often_it_is_killed(run: RunOn) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.start(forever)
        before = bench.safe.runs
        bench.sequencer.abort("enough")
        for _ in range(5):
            await asyncio.sleep(0.05)
            assert bench.sequencer._safe_task is not None
            bench.sequencer._safe_task.cancel()
        end = await bench.end()
        assert bench.safe.runs == before + 6
        assert (end.verdict, bench.sequencer.state) == (Verdict.ABORTED, State.ABORTED)

    run(main)


def test_a_task_that_swallows_every_cancellation_energises_nothing_more(run: RunOn) -> None:
    async def zombie(bench: Bench, lease: Lease, scope: RunScope) -> None:
        for _ in range(60):
            try:
                await asyncio.sleep(0.02)
                bench.output.on(lease)
            except (asyncio.CancelledError, LeaseRevoked):
                continue

    async def main() -> None:
        bench = Bench()
        await bench.start(zombie)
        await asyncio.sleep(0.1)
        assert bench.output.commands.count("ON") > 2
        bench.sequencer.abort("stop")
        end = await bench.end()
        assert end.verdict is Verdict.ABORTED
        assert bench.output.on_after_off() == 0
        await bench.sequencer.command(Event.CLEAR)
        await bench.sequencer.until(State.STOPPED)
        with pytest.raises(Refused, match="has not ended"):
            await bench.sequencer.command(Event.RESET)
        await asyncio.sleep(1.5)
        await bench.sequencer.command(Event.RESET)

    run(main)


def test_a_device_that_never_returns_does_not_keep_the_station_from_safe(run: RunOn) -> None:
    async def stuck(bench: Bench, lease: Lease, scope: RunScope) -> None:
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        while not never.done():
            try:
                lease.quiet_for(100.0)
                await never
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        bench = Bench()
        await bench.start(stuck)
        bench.sequencer.abort("stop")
        assert (await bench.end()).verdict is Verdict.ABORTED
        assert bench.output.commands[-1] == "OFF"

    run(main)


def test_a_lost_wake_up_is_invalid_after_a_second(run: RunOn) -> None:
    async def lost(bench: Bench, lease: Lease, scope: RunScope) -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        bench = Bench()
        loop = asyncio.get_running_loop()
        await bench.start(lost)
        started_s = loop.time()
        end = await bench.end()
        assert end.verdict is Verdict.INVALID
        assert "no device has answered" in end.reason
        assert 0.9 <= loop.time() - bench.safe.duration_s - started_s <= 1.3

    run(main)


def test_a_step_over_its_budget_is_invalid(run: RunOn) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.start(forever, max_s=0.5)
        end = await bench.end()
        assert (end.verdict, end.reason) == (Verdict.INVALID, "work: over its time budget")

    run(main)


def test_a_hung_owner_is_cut_off_by_the_plc_within_300_ms(run: RunOn) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.start(forever)
        loop = asyncio.get_running_loop()
        bench.sequencer._handle = lambda message: None  # type: ignore[method-assign]
        hung_s = loop.time()
        await asyncio.sleep(0.5)
        assert bench.stub.tripped
        assert bench.energy_off_s() - hung_s <= 0.300 + 0.050

    run(main)


def test_a_blocked_loop_trips_the_plc_in_its_time_and_is_invalid() -> None:
    blocked_s: list[float] = []

    async def block(bench: Bench, lease: Lease, scope: RunScope) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        await asyncio.sleep(0.1)
        blocked_s.append(loop.time())
        loop.block(2.0)
        await forever(bench, lease, scope)

    async def main() -> None:
        bench = Bench()
        await bench.start(block)
        end = await bench.end()
        assert end.verdict is Verdict.INVALID
        assert bench.stub.tripped
        assert bench.stub.cut_s is not None
        assert bench.stub.cut_s - blocked_s[0] <= 0.300 + 0.020

    _virtual(main)


def test_a_silent_plc_is_invalid(run: RunOn) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.start(forever)
        bench.port.mute(True)
        end = await bench.end()
        assert end.verdict is Verdict.INVALID
        assert "plc" in end.reason

    run(main)


@pytest.mark.parametrize("event", [Event.HOLD, Event.CLEAR, Event.UNHOLD])
def test_a_command_the_table_does_not_know_here_is_refused(event: Event) -> None:
    async def main() -> None:
        bench = Bench()
        with pytest.raises(Refused, match=str(State.STOPPED)):
            await bench.sequencer.command(event)
        assert bench.sequencer.state is State.STOPPED

    _virtual(main)


def test_hold_waits_at_the_step_boundary_and_unhold_goes_on() -> None:
    reached: list[str] = []

    async def two_steps(bench: Bench, lease: Lease, scope: RunScope) -> None:
        await asyncio.sleep(0.3)
        scope.end_step()
        await scope.boundary()
        reached.append("second")

    async def main() -> None:
        bench = Bench()
        await bench.start(two_steps)
        await bench.sequencer.command(Event.HOLD)
        await bench.sequencer.until(State.HELD)
        await asyncio.sleep(3.0)
        assert reached == []
        await bench.sequencer.command(Event.UNHOLD)
        assert (await bench.end()).verdict is None
        assert reached == ["second"]

    _virtual(main)


def test_stop_ends_the_run_at_the_step_boundary() -> None:
    async def two_steps(bench: Bench, lease: Lease, scope: RunScope) -> None:
        await asyncio.sleep(0.3)
        scope.end_step()
        await scope.boundary()
        raise AssertionError("ran on after stop")

    async def main() -> None:
        bench = Bench()
        await bench.start(two_steps)
        await bench.sequencer.command(Event.STOP)
        end = await bench.end()
        assert (end.verdict, end.reason) == (Verdict.ABORTED, "stopped by the operator")
        assert bench.sequencer.state is State.STOPPED

    _virtual(main)


async def _raise(bench: Bench, lease: Lease, scope: RunScope) -> None:
    raise RuntimeError("a bug")


def test_an_exception_out_of_the_run_is_invalid_and_made_safe() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.start(_raise)
        end = await bench.end()
        assert (end.verdict, end.reason) == (Verdict.INVALID, "internal error: RuntimeError: a bug")
        assert bench.sequencer.state is State.COMPLETE

    _virtual(main)


def test_an_abort_that_overtakes_a_step_boundary_leaves_the_owner_alive() -> None:
    async def at_boundary(bench: Bench, lease: Lease, scope: RunScope) -> None:
        scope.end_step()
        scope.holding = True
        bench.sequencer.abort("stopped")
        await scope.boundary()

    async def main() -> None:
        bench = Bench()
        await bench.start(at_boundary)
        assert (await bench.end()).verdict is Verdict.ABORTED
        await asyncio.sleep(0.1)
        assert not bench.owner.done()

    _virtual(main)


def test_an_owner_that_ends_leaves_nobody_waiting() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.start(forever)
        bench.owner.cancel()
        with pytest.raises(StepInvalid, match="owner task"):
            await bench.end()

    _virtual(main)


@pytest.mark.parametrize("command", [Event.RESET, Event.CLEAR])
def test_a_station_that_cannot_be_proved_safe_stays_aborted(command: Event) -> None:
    async def main() -> None:
        bench = Bench()
        bench.safe.voltage_free = False
        if command is Event.CLEAR:
            bench.sequencer.abort("for a start")
            await bench.sequencer.until(State.ABORTED)
        await bench.sequencer.command(command)
        await asyncio.sleep(1.0)
        assert bench.sequencer.state is State.ABORTED

    _virtual(main)
