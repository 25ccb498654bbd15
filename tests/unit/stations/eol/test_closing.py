"""The contactors around a measurement: their order, and every way out."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from bmsctl.domain.ports import Relay, Route
from bmsctl.domain.units import Ampere, Volt
from bmsctl.errors import DeviceTimeout, LeaseRevoked, StepInvalid
from bmsctl.stations.eol.closing import closed_contactors, connect_cold
from bmsctl.stations.eol.context import StepContext
from firmware_stubs.sim.loop import new_loop
from tests.support.fake_live import LiveBench, run_live

MINUS, PRECHARGE, PLUS = Relay.MAIN_MINUS, Relay.PRECHARGE, Relay.MAIN_PLUS
CLOSING = [({MINUS},), ({MINUS, PRECHARGE},), ({MINUS, PRECHARGE, PLUS},), ({MINUS, PLUS},)]


async def _nothing(ctx: StepContext) -> None:
    async with closed_contactors(ctx):
        pass


async def _current_then(ctx: StepContext, error: BaseException | None, *, hung: bool = False) -> None:
    """100 A flow when the body ends; then the cycler hangs, if `hung`."""
    await ctx.devices.matrix.connect(ctx.leases["matrix"], {Route.DIGITIZER, Route.CYCLER})
    async with closed_contactors(ctx):
        cycler, lease = ctx.devices.cycler, ctx.leases["cycler"]
        await cycler.arm(lease, Volt(300.0), Volt(400.0), Ampere(100.0))
        await cycler.set_current(lease, Ampere(100.0))
        if hung:
            cycler.hangs_at_s = ctx.now()  # type: ignore[attr-defined]
        if error is not None:
            raise error


def test_poles_are_precharged_before_main_plus() -> None:
    bench, outcome = run_live(_nothing, "dcir")
    assert outcome.error is None
    assert bench.of("bms.set_relays") == [*CLOSING, (frozenset(),)]
    assert bench.facts.contactors_opened_s is not None
    assert bench.resting()


@pytest.mark.parametrize("error", [None, StepInvalid("x"), DeviceTimeout("bms", "x"), ValueError("a bug")])
def test_current_is_gone_before_a_contact_opens(error: Exception | None) -> None:
    """The fakes assert that no contact opens under current."""

    async def body(ctx: StepContext) -> None:
        try:
            await _current_then(ctx, error)
        except ValueError:
            raise StepInvalid("internal") from None

    bench, outcome = run_live(body, "dcir")
    assert (outcome.error is None) == (error is None)
    assert bench.resting()
    assert "plc.drop_permit" not in bench.names()
    assert bench.names().index("cycler.off") < bench.names().index("bms.open_relays")


@pytest.mark.parametrize("error", [None, DeviceTimeout("cycler", "no answer")])
def test_a_cycler_that_does_not_stop_loses_its_enable(error: Exception | None) -> None:
    async def body(ctx: StepContext) -> None:
        await _current_then(ctx, error, hung=True)

    bench, outcome = run_live(body, "dcir")
    assert outcome.error is not None
    assert bench.resting()
    assert bench.names().index("plc.drop_permit") < bench.names().index("bms.open_relays")
    assert "enable was withdrawn" in " ".join(bench.log.notes())


@pytest.mark.parametrize("error", [None, StepInvalid("x")])
def test_the_precharge_resistor_cools_however_often_a_step_is_repeated(error: StepInvalid | None) -> None:
    async def body(ctx: StepContext) -> None:
        for _ in range(5):
            with contextlib.suppress(StepInvalid):
                await _current_then(ctx, error)

    bench, _ = run_live(body, "dcir", precharges_max=3, precharges_within=65.0)
    closed_s = bench.facts.precharged_s
    assert len(closed_s) == 5
    assert closed_s[2] < 5.0
    assert [closed_s[number + 3] - closed_s[number] >= 65.0 for number in range(2)] == [True, True]
    assert closed_s[3] - closed_s[0] < 66.0


def test_an_offset_of_the_current_sensor_is_no_current() -> None:
    bench, outcome = run_live(_nothing, "dcir", lambda bench: setattr(bench.bms, "offset_a", 7.0))
    assert outcome.error is None
    assert "plc.drop_permit" not in bench.names()


def test_main_plus_is_not_closed_onto_poles_that_have_not_followed() -> None:
    bench, outcome = run_live(_nothing, "dcir", lambda bench: setattr(bench.bms, "followed", False))
    assert outcome.error is not None
    assert "main plus is not closed" in outcome.error
    assert all(PLUS not in closed for (closed,) in bench.of("bms.set_relays"))
    assert bench.resting()


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_contactor_that_does_not_follow_opens_all(failing: int) -> None:
    def script(bench: LiveBench) -> None:
        set_relays, calls = bench.bms.set_relays, []

        async def sometimes(lease: object, closed: object) -> None:
            calls.append(closed)
            if len(calls) == failing:
                raise DeviceTimeout("bms", "the coil drivers do not follow")
            await set_relays(lease, closed)  # type: ignore[arg-type]

        bench.bms.set_relays = sometimes  # type: ignore[method-assign]

    bench, outcome = run_live(_nothing, "dcir", script)
    assert outcome.error is not None
    assert "do not follow" in outcome.error
    assert bench.resting()


@pytest.mark.parametrize("revoked", [False, True])
def test_the_owner_keeps_the_order_after_an_abort(revoked: bool) -> None:
    """Cancelled, or its leases revoked: not one command more leaves the step."""

    async def main() -> tuple[LiveBench, list[str]]:
        bench = LiveBench()
        context = bench.context("dcir")
        error = LeaseRevoked("the run has ended") if revoked else asyncio.CancelledError()
        ended: type[BaseException] = LeaseRevoked if revoked else asyncio.CancelledError
        with pytest.raises(ended):
            await _current_then(context, error)
        names = bench.names()
        return bench, names[names.index("cycler.set_current") + 1 :]

    bench, after = new_loop().run_until(main(), 60.0)
    assert after == []
    assert bench.bms.closed == {MINUS, PLUS}


def test_routes_move_cold() -> None:
    async def body(ctx: StepContext) -> None:
        await connect_cold(ctx, {Route.DIGITIZER})

    def script(bench: LiveBench) -> None:
        bench.pack.left_v = (300.0, 300.0)
        asyncio.get_running_loop().call_later(1.0, setattr, bench.pack, "left_v", (20.0, 55.0))
        asyncio.get_running_loop().call_later(1.5, setattr, bench.pack, "left_v", (20.0, 20.0))

    bench, outcome = run_live(body, "insulation_live", script)
    assert outcome.error is None
    assert bench.matrix.routes == {Route.DIGITIZER}
    assert 1.5 < outcome.duration_s < 1.8


def test_routes_that_are_connected_already_need_not_be_cold() -> None:
    async def body(ctx: StepContext) -> None:
        await connect_cold(ctx, {Route.DIGITIZER, Route.CYCLER})

    def script(bench: LiveBench) -> None:
        bench.pack.left_v = (300.0, 0.0)
        bench.matrix.routes = frozenset({Route.DIGITIZER, Route.CYCLER})

    assert run_live(body, "dcir", script)[1].error is None


def test_a_voltage_that_stays_at_the_poles_moves_no_route() -> None:
    async def body(ctx: StepContext) -> None:
        await connect_cold(ctx, {Route.DIGITIZER})

    bench, outcome = run_live(body, "dcir", lambda bench: setattr(bench.pack, "left_v", (-300.0, 0.0)))
    assert outcome.error is not None
    assert "no route is moved" in outcome.error
    assert bench.matrix.routes == frozenset()
