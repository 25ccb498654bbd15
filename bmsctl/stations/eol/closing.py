"""The pack's contactors, closed for a measurement and opened after it, and the routes they are closed on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Set

from bmsctl.domain.ports import Relay, Route
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceTimeout, StepInvalid
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.undo import undone

COLD_V = 50.0
"""Below what the matrix, at 60 V, refuses to move a route at."""
COLD_WITHIN_S = 5.0
COLD_PERIOD_S = 0.1
ROUTED_WITHIN = Second(0.1)

PRECHARGED_S = 0.1
"""Twenty time constants of a source's output capacitor on the precharge resistor."""
FOLLOWED = 0.95
"""Of the stack voltage: less leaves main plus more than it may close onto."""
POLE_SAMPLES = 200
CONTACT_S = 0.05
"""The feedback is the coil driver's; its contact follows within 20 ms, and bounces."""

CURRENT_GONE_A = 2.0
CURRENT_DEADLINE_S = 0.3
CURRENT_PERIOD_S = 0.01

_MINUS = frozenset({Relay.MAIN_MINUS})
_PRECHARGE = _MINUS | {Relay.PRECHARGE}
_BOTH = _MINUS | {Relay.MAIN_PLUS}


async def connect_cold(ctx: StepContext, routes: Set[Route]) -> None:
    """Connect exactly these routes, once poles and link have discharged; at once if they are connected already.

    What the digitizer does not see, because it is not routed, the matrix does, and refuses.

    Raises:
        StepInvalid: a voltage stays at the poles although every contactor is open.
    """
    matrix, digitizer = ctx.devices.matrix, ctx.devices.digitizer
    with contextlib.suppress(DeviceTimeout):
        await matrix.await_routes(routes, ROUTED_WITHIN)
        return
    deadline_s = ctx.now() + COLD_WITHIN_S
    while True:
        reading = await digitizer.mean(ctx.leases["digitizer"], POLE_SAMPLES)
        pole_v, link_v = reading.v_pos - reading.v_neg, reading.v_link
        if max(abs(pole_v), abs(link_v)) < COLD_V:
            break
        if ctx.now() > deadline_s:
            raise StepInvalid(
                f"{pole_v:.0f} V at the poles, {link_v:.0f} V at the link after {COLD_WITHIN_S:g} s: "
                "no route is moved; check the discharge path and the feedback of the matrix"
            )
        await ctx.dwell(COLD_PERIOD_S)
    await matrix.connect(ctx.leases["matrix"], routes)


async def precharge_cooled(ctx: StepContext) -> None:
    """Wait until the precharge resistor stands another closing, whichever steps, repeated or not, closed it before."""
    most, within_s = ctx.recipe.count("precharges_max"), ctx.recipe.quantity("precharges_within")
    newest_s = ctx.facts.precharged_s[-most:]
    if len(newest_s) == most:
        await ctx.dwell(max(0.0, newest_s[0] + within_s - ctx.now()))


async def close_precharge(ctx: StepContext, closed: Set[Relay]) -> None:
    """Close these contactors, precharge among them, and remember when."""
    ctx.facts.precharged_s.append(ctx.now())
    await ctx.devices.bms.set_relays(ctx.leases["bms"], closed)


@contextlib.asynccontextmanager
async def closed_contactors(ctx: StepContext) -> AsyncIterator[None]:
    """Pack on the poles: main minus, precharge, main plus, precharge off; at the end no current, then all open.

    The routes are connected before, and stay connected: behind a source's they still carry voltage. If the current
    does not end with the cycler's output, the permissive is dropped, which takes the cycler's enable away in
    hardware. After a cancellation or a revoked lease nothing is done: the owner's safety action keeps the order.

    Raises:
        StepInvalid: the poles did not follow the precharge.
        DeviceTimeout: current still flowed at the end.
    """
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    await precharge_cooled(ctx)
    await bms.take_relays(lease)
    idle_a = await bms.current(lease)
    async with undone(lambda: _open(ctx, idle_a)):
        await _close(ctx)
        yield


async def _close(ctx: StepContext) -> None:
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    await bms.set_relays(lease, _MINUS)
    await close_precharge(ctx, _PRECHARGE)
    await ctx.dwell(PRECHARGED_S)
    await _require_followed(ctx)
    await bms.set_relays(lease, _PRECHARGE | _BOTH)
    await bms.set_relays(lease, _BOTH)
    await ctx.dwell(CONTACT_S)


async def _require_followed(ctx: StepContext) -> None:
    taps = await ctx.devices.bms.taps(ctx.leases["bms"])
    if taps.u_batt is None:
        raise StepInvalid("the BMS reports no pack voltage; main plus is not closed")
    poles = await ctx.devices.digitizer.mean(ctx.leases["digitizer"], POLE_SAMPLES)
    pole_v = poles.v_pos - poles.v_neg
    if not pole_v >= FOLLOWED * taps.u_batt:
        raise StepInvalid(
            f"{pole_v:.1f} V at the poles after precharge, the pack has {taps.u_batt:.1f} V: main plus is not closed"
        )


async def _open(ctx: StepContext, idle_a: float) -> None:
    """`idle_a`: what the BMS shows without current."""
    ctx.devices.cycler.off()
    gone = await _current_gone(ctx, idle_a)
    if not gone:
        ctx.note("current", "still flowed after the cycler was switched off; its enable was withdrawn")
        ctx.devices.plc.drop_permit()
        await _current_gone(ctx, idle_a)
    await open_contactors(ctx)
    if not gone:
        raise DeviceTimeout("cycler", "current still flowed after its output was asked off; check it")


async def open_contactors(ctx: StepContext) -> None:
    """Open every contactor, with no source on; confirmed by the coil drivers' feedback."""
    ctx.devices.bms.open_relays()
    ctx.facts.contactors_opened_s = ctx.now()
    await ctx.devices.bms.set_relays(ctx.leases["bms"], frozenset())


async def _current_gone(ctx: StepContext, idle_a: float) -> bool:
    """Whether the BMS, within CURRENT_DEADLINE_S, twice shows less than CURRENT_GONE_A more than idle."""
    seen_s, below = ctx.now(), 0
    deadline_s = seen_s + CURRENT_DEADLINE_S
    while below < 2 and ctx.now() < deadline_s:
        await ctx.dwell(CURRENT_PERIOD_S)
        newest = ctx.devices.bms.newest_current()
        if newest is not None and newest[1] > seen_s:
            seen_s = newest[1]
            below = below + 1 if abs(newest[0] - idle_a) < CURRENT_GONE_A else 0
    return below == 2
