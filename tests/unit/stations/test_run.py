"""One run on scripted devices: what repeats a step, what keeps one from running, and when the permit is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from bmsctl.domain.events import AttemptClosed, Event, Measured, Noted, StepFinished, StepRepeated, StepSkipped
from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.limits import Limit, Reading
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.recipe import StepRecipe
from bmsctl.domain.units import Second, Volt
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceError, DeviceRestarted, DeviceTimeout, LeaseRevoked, StepInvalid
from bmsctl.stations.eol.context import RunFacts, Step, StepContext
from bmsctl.stations.eol.devices import INSTRUMENTS, LEASED, Devices
from bmsctl.stations.job import RunEnd
from bmsctl.stations.run import SAFE_STEP, Run
from bmsctl.stations.safe import SafeReport
from bmsctl.stations.scope import RunScope
from firmware_stubs.sim.loop import run
from tests.support.fake_devices import FakeLog

LIMIT = Limit(None, 10.0, "V", False, "a test")
STEPS = (
    "identify",
    "bms_alive",
    "contactors_open",
    "cells_at_rest",
    "precharge",
    "dcir",
    "balancing_channels",
    "sleep",
)
PACK = PackSpec("AS52", "295B0", 96, 2, 4, Volt(403.2), Volt(350.0))
DONE = RunEnd(None, "")
RESTARTED = DeviceRestarted("cycler", "has restarted; check its supply")

Body = Callable[[StepContext], Awaitable[None]]


class Log(FakeLog):
    """Also takes commits, and the end."""

    def __init__(self) -> None:
        super().__init__()
        self.committed = 0

    async def commit(self) -> str:
        self.committed = len(self.events)
        return ""

    async def close(self, closed: AttemptClosed) -> Mapping[str, Any]:
        self.append(closed)
        return {"verdict": closed.verdict, "events": {"head_sha256": "0"}}

    def closed(self) -> AttemptClosed:
        event = self.events[-1]
        assert isinstance(event, AttemptClosed)
        return event

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    def verdicts(self) -> dict[str, Verdict]:
        """By step; without those that were skipped."""
        return {event.step: event.verdict for event in self.of(StepFinished)}


class Station:
    """Every device of the station in one: notes the permit, and says who it is."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.heard_s = 0.0
        self.error: DeviceError | None = None

    async def permit(self, lease: Lease, token: int) -> None:
        lease.check()
        self.calls.append("permit")

    def drop_permit(self) -> None:
        self.calls.append("drop_permit")

    async def identify(self, lease: Lease) -> str:
        lease.check()
        self.calls.append(f"identify {lease.device}")
        if self.error is not None:
            raise self.error
        return "an instrument"

    def last_status_s(self) -> float:
        return self.heard_s


@dataclass
class Ran:
    """What a run left behind; `breaches`: what the owner would have been told at the end of each step."""

    log: Log
    station: Station
    scope: RunScope
    raised: BaseException | None = None
    bodies: list[str] = field(default_factory=list)
    breaches: dict[str, str | None] = field(default_factory=dict)


def recipe(name: str) -> StepRecipe:
    limits = {"value": LIMIT} if name != SAFE_STEP else {"u_pn_plc": LIMIT}
    return StepRecipe(name, True, Second(30.0), limits, {"u95_voltage": 1.0})


async def good(ctx: StepContext) -> None:
    ctx.measure("value", Reading(1.0, "V"))


async def bad(ctx: StepContext) -> None:
    ctx.measure("value", Reading(11.0, "V"))


def raising(*errors: Exception | None, before: float = 2.0) -> Body:
    """A step that measures `before`, then raises; None: that time it is good."""
    left = list(errors)

    async def body(ctx: StepContext) -> None:
        error = left.pop(0)
        if error is None:
            await good(ctx)
            return
        ctx.measure("value", Reading(before, "V"))
        ctx.trace("curve", "V", 1.0, np.zeros(3))
        raise error

    return body


HIGH_VOLTAGE = ("contactors_open", "precharge", "dcir")
SAFE = SafeReport(True, 0.0, {"u_pn_plc": 0.0})


def ran(
    bodies: Mapping[str, Body],
    *,
    identify_error: DeviceError | None = None,
    end: RunEnd = DONE,
    safe: SafeReport = SAFE,
) -> Ran:
    """Run every step of STEPS, good unless `bodies` has another, and close."""

    async def main() -> Ran:
        now = asyncio.get_running_loop().time
        station, log = Station(), Log()
        left = Ran(log, station, RunScope(lambda message: None, now))

        def noted(name: str) -> Body:
            async def body(ctx: StepContext) -> None:
                left.bodies.append(name)
                station.calls.append(name)
                await bodies.get(name, good)(ctx)
                left.breaches[name] = left.scope.breach()

            return body

        steps = [
            Step(name, noted(name), ("bms",), high_voltage=name in HIGH_VOLTAGE, voltage_free=name == "sleep")
            for name in STEPS
        ]
        anything: Any = station
        a_log: Any = log
        job = Run(
            steps=steps,
            recipe=[recipe(name) for name in (*STEPS, SAFE_STEP)],
            pack=PACK,
            facts=RunFacts("AS52000000001"),
            token=lambda: 7,
            record_id="a record",
            devices=Devices(*[anything] * len(Devices.__slots__)),
            leases=LeaseBook(now),
            log=a_log,
            watch=None,
            now=now,
            utc_text=lambda: "2026-01-01T00:00:00Z",
            serial_numbers={},
            leased=LEASED,
            instruments=INSTRUMENTS,
        )
        await job.prepare(left.scope)
        station.error = identify_error
        station.calls.clear()
        try:
            await job.execute(left.scope)
        except (LeaseRevoked, DeviceError) as error:
            left.raised = error
        await job.close(end, safe)
        return left

    return run(main(), 600.0)


def test_a_good_run_passes_and_is_released() -> None:
    left = ran({})
    assert left.bodies == list(STEPS)
    assert set(left.log.verdicts().values()) == {Verdict.PASS}
    assert (left.log.closed().verdict, left.log.closed().disposition) == (Verdict.PASS, "release")
    assert len(left.log.of(Noted)) == len(INSTRUMENTS)


def test_a_step_whose_instrument_restarted_is_repeated_once_from_zero() -> None:
    left = ran({"dcir": raising(RESTARTED, None, before=11.0)})
    assert left.bodies.count("dcir") == 2
    (repeated,) = left.log.of(StepRepeated)
    assert (repeated.step, repeated.reason) == ("dcir", "cycler: has restarted; check its supply")
    after = left.log.events[left.log.events.index(repeated) :]
    assert [event.value for event in after if isinstance(event, Measured) and event.step == "dcir"] == [1.0]
    assert isinstance(after[1], Noted)
    assert after[1].what == "cycler"
    assert left.station.calls.count("identify cycler") == 1
    assert (left.log.verdicts()["dcir"], left.log.closed().verdict) == (Verdict.PASS, Verdict.PASS)


def test_a_restart_a_second_time_is_invalid_with_its_reason() -> None:
    left = ran({"precharge": raising(RESTARTED, RESTARTED)})
    assert left.bodies.count("precharge") == 2
    assert len(left.log.of(StepRepeated)) == 1
    finished = next(event for event in left.log.of(StepFinished) if event.step == "precharge")
    assert (finished.verdict, finished.reason) == (Verdict.INVALID, str(RESTARTED))
    assert left.log.closed().verdict is Verdict.INVALID


def test_a_restart_in_each_of_two_steps_repeats_both() -> None:
    left = ran({"cells_at_rest": raising(RESTARTED, None), "dcir": raising(RESTARTED, None)})
    assert [event.step for event in left.log.of(StepRepeated)] == ["cells_at_rest", "dcir"]
    assert left.log.closed().verdict is Verdict.PASS


def test_an_instrument_that_does_not_come_back_leaves_its_step_invalid() -> None:
    lost = DeviceTimeout("cycler", "no answer")
    left = ran({"dcir": raising(RESTARTED)}, identify_error=lost, end=RunEnd(Verdict.INVALID, str(lost)))
    assert left.bodies.count("dcir") == 1
    assert left.log.verdicts()["dcir"] is Verdict.INVALID
    assert left.log.closed().verdict is Verdict.INVALID


def test_a_lease_revoked_goes_through_and_is_not_repeated() -> None:
    left = ran({"dcir": raising(LeaseRevoked("x"))}, end=RunEnd(Verdict.ABORTED, "interrupted"))
    assert isinstance(left.raised, LeaseRevoked)
    assert left.bodies[-1] == "dcir"
    assert left.log.verdicts()["dcir"] is Verdict.ABORTED
    assert left.log.closed().verdict is Verdict.ABORTED


NEED_VOLTAGE = {"contactors_open", "precharge", "dcir"}


@pytest.mark.parametrize(
    ("failing", "kept"),
    [
        ("identify", set(STEPS) - {"identify"}),
        ("bms_alive", NEED_VOLTAGE),
        ("contactors_open", NEED_VOLTAGE - {"contactors_open"}),
        ("cells_at_rest", {"dcir"}),
        ("precharge", {"dcir"}),
        ("balancing_channels", set()),
    ],
)
@pytest.mark.parametrize("body", [bad, raising(*[StepInvalid("not now")] * 6)], ids=["FAIL", "INVALID"])
def test_a_step_that_did_not_pass_shuts_its_gates(failing: str, kept: set[str], body: Body) -> None:
    left = ran({failing: body})
    verdict = left.log.verdicts()[failing]
    assert verdict in (Verdict.FAIL, Verdict.INVALID)
    assert set(STEPS) - set(left.bodies) == kept
    skipped = {event.step: event.reason for event in left.log.of(StepSkipped)}
    assert skipped == dict.fromkeys(kept, f"not run after {verdict} of {failing}")
    assert (left.log.closed().verdict, left.log.closed().disposition) == (verdict, "hold")
    assert left.log.verdicts()[SAFE_STEP] is Verdict.PASS


def test_the_first_step_that_shut_a_gate_is_named() -> None:
    left = ran({"bms_alive": bad, "cells_at_rest": bad})
    skipped = {event.step: event.reason for event in left.log.of(StepSkipped)}
    assert skipped["dcir"] == "not run after FAIL of bms_alive"
    assert left.log.closed().reason.startswith("bms_alive FAIL: ")


def test_the_permit_is_asked_for_by_steps_under_voltage_and_dropped_before_those_without() -> None:
    calls = ran({}).station.calls
    for name in HIGH_VOLTAGE:
        assert calls[calls.index(name) - 1] == "permit"
    assert calls[calls.index("sleep") - 1] == "drop_permit"
    assert calls.count("permit") == len(HIGH_VOLTAGE)
    assert calls.count("drop_permit") == 1


def test_a_silent_bms_is_a_breach_under_voltage_and_none_after_the_permit_is_dropped() -> None:
    async def long(ctx: StepContext) -> None:
        await asyncio.sleep(0.5)
        await good(ctx)

    slow = ("bms_alive", "contactors_open", "precharge", "balancing_channels", "sleep")
    breaches = ran(dict.fromkeys(slow, long)).breaches
    silent = {name for name, breach in breaches.items() if breach is not None}
    assert silent == set(STEPS[STEPS.index("contactors_open") : STEPS.index("sleep")])
    assert str(breaches["precharge"]).startswith("bms: no fresh, undamaged status for 0.3 s")


def test_what_a_step_does_not_measure_is_invalid_and_a_fail_before_an_error_stands() -> None:
    async def nothing(ctx: StepContext) -> None:
        pass

    assert ran({"balancing_channels": nothing}).log.verdicts()["balancing_channels"] is Verdict.INVALID
    left = ran({"balancing_channels": raising(StepInvalid("the rest is not there"), before=11.0)})
    assert left.log.verdicts()["balancing_channels"] is Verdict.FAIL


def test_a_bug_in_a_step_is_invalid_with_its_traceback_on_record() -> None:
    left = ran({"balancing_channels": raising(ZeroDivisionError("oops"))})
    assert left.log.verdicts()["balancing_channels"] is Verdict.INVALID
    (note,) = [event for event in left.log.of(Noted) if event.what == "internal_error"]
    assert "ZeroDivisionError: oops" in note.text


def test_what_could_not_be_proved_safe_makes_a_good_pack_invalid() -> None:
    left = ran({}, safe=SafeReport(True, 0.0, {}, ("plc: no answer",)))
    assert left.log.verdicts()[SAFE_STEP] is Verdict.INVALID
    assert (left.log.closed().verdict, left.log.closed().disposition) == (Verdict.INVALID, "hold")
