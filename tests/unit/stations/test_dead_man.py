"""The owner proves the PLC's dead-man by falling silent; whatever else ends a run ends this one, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bmsctl.domain.lease import Lease
from bmsctl.domain.packml import State
from bmsctl.domain.ports import PlcStatus, TripCause
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.job import RunEnd
from bmsctl.stations.scope import RunScope
from firmware_stubs.plc import DEAD_MAN_S
from firmware_stubs.sim.loop import VirtualLoop
from tests.support.bench import Bench

Body = Callable[[Bench, Lease, RunScope], Awaitable[None]]


def proved(
    after: Callable[[Bench], None] | None = None, silent_s: float = 1.0
) -> tuple[Bench, RunEnd, list[PlcStatus | None]]:
    """A run that falls silent for `silent_s`, how it ended, and the PLC's last status; `after` disturbs it at 0.1 s."""
    made: list[Bench] = []
    seen: list[PlcStatus | None] = []

    async def prove(bench: Bench, lease: Lease, scope: RunScope) -> None:
        lease.quiet_for(silent_s)
        bench.sequencer.prove_dead_man()
        if after is not None:
            asyncio.get_running_loop().call_later(0.1, after, bench)
        await asyncio.sleep(silent_s)
        seen.append(bench.plc.status())

    async def main() -> RunEnd:
        bench = Bench()
        made.append(bench)
        await bench.start(prove)
        return await bench.end(20.0)

    loop = VirtualLoop()
    end = loop.run_until(main(), 60.0)
    assert loop.errors == []
    return made[0], end, seen


def test_the_plc_trips_and_the_run_goes_on_to_its_end() -> None:
    bench, end, (status,) = proved()
    assert bench.stub.tripped
    assert status is not None
    assert status.cause is TripCause.WATCHDOG
    assert (end.verdict, end.reason) == (None, "")
    assert bench.output.on_after_off() == 0


def test_the_last_answer_is_known() -> None:
    bench, _, _ = proved()
    cut_s, answered_s = bench.stub.cut_s, bench.sequencer.last_answer_s
    assert cut_s is not None
    assert answered_s is not None
    assert answered_s > cut_s, "answers begin again once the run has ended"


@pytest.mark.parametrize("silent_s", [0.1, 0.2])
def test_silence_that_ends_with_the_run_in_time_trips_nothing(silent_s: float) -> None:
    bench, end, _ = proved(silent_s=silent_s)
    assert silent_s < DEAD_MAN_S
    assert (end.verdict, bench.sequencer.state) == (None, State.COMPLETE)


@pytest.mark.parametrize(
    ("disturb", "verdict", "said"),
    [
        (lambda bench: bench.stub.press_estop(), Verdict.ABORTED, "emergency stop"),
        (lambda bench: bench.stub.open_guard(), Verdict.ABORTED, "guard"),
        (lambda bench: bench.sequencer.abort("interrupted by SIGTERM"), Verdict.ABORTED, "SIGTERM"),
    ],
)
def test_everything_else_still_ends_the_run(disturb: Callable[[Bench], None], verdict: Verdict, said: str) -> None:
    bench, end, _ = proved(disturb)
    assert (end.verdict, said in end.reason) == (verdict, True)
    assert bench.output.commands[-1] == "OFF"


def test_an_emergency_stop_after_the_trip_still_aborts() -> None:
    def later(bench: Bench) -> None:
        asyncio.get_running_loop().call_later(0.5, bench.stub.press_estop)

    _, end, _ = proved(later)
    assert end.verdict is Verdict.ABORTED


def test_a_run_that_takes_too_long_is_ended_although_nobody_answers() -> None:
    async def stuck(bench: Bench, lease: Lease, scope: RunScope) -> None:
        bench.sequencer.prove_dead_man()
        await asyncio.sleep(30.0)

    async def main() -> RunEnd:
        bench = Bench()
        await bench.start(stuck)
        return await bench.end(50.0)

    end = VirtualLoop().run_until(main(), 60.0)
    assert end.verdict is Verdict.INVALID
    assert "no device has answered" in end.reason
