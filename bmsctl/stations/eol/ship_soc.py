"""The pack charged to the state of charge it ships at, by the station's own count of the charge.

The BMS's state of charge and the station's count are two witnesses; both must end at the target.
"""

from __future__ import annotations

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import Route
from bmsctl.domain.units import Ampere
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.closing import closed_contactors, connect_cold
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.current import arm, require_cells_within

HOUR_S = 3600.0
LATE = 1.5
"""Times as long as the charge should take: the cycler does not give what it was asked for."""


async def ship_soc(ctx: StepContext) -> None:
    """Charge what is missing to the target, at most the recipe's charge; a fuller pack is judged as it is."""
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    before, _ = await bms.soc(lease)
    capacity_ah = ctx.recipe.quantity("capacity")
    missing_ah = (ctx.recipe.quantity("target") - before) / 100.0 * capacity_ah
    charged_ah = 0.0
    if missing_ah > 0.0:
        charged_ah = await _charge(ctx, min(missing_ah, ctx.recipe.quantity("charge_max")))
        await ctx.dwell(ctx.recipe.quantity("settle"))
    after, _ = await bms.soc(lease)
    text = f"{before:.2f} % before, {charged_ah:.3f} Ah charged"
    u95 = ctx.recipe.quantity("u95_soc")
    ctx.measure("soc", Reading(after, "%", u95, detail=text))
    ctx.measure("soc_by_charge", Reading(before + 100.0 * charged_ah / capacity_ah, "%", u95, detail=text))


class _Counter:
    """Charge by the cycler's readings."""

    def __init__(self, ctx: StepContext) -> None:
        self._ctx = ctx
        self._last: tuple[float, float] | None = None
        self.ah = 0.0

    async def read(self) -> None:
        """Count what has flowed since the last reading."""
        reading = await self._ctx.devices.cycler.read(self._ctx.leases["cycler"])
        if self._last is not None:
            last_s, last_a = self._last
            self.ah += (reading.t_s - last_s) / HOUR_S * (reading.current + last_a) / 2.0
        self._last = reading.t_s, reading.current


async def _charge(ctx: StepContext, wanted_ah: float) -> float:
    """Charge until the station has counted `wanted_ah`, by the trapezoidal rule; what it counted in the end."""
    cycler, lease = ctx.devices.cycler, ctx.leases["cycler"]
    await connect_cold(ctx, {Route.DIGITIZER, Route.CYCLER})
    async with closed_contactors(ctx):
        await arm(ctx, "current")
        counter = _Counter(ctx)
        await counter.read()
        await cycler.set_current(lease, Ampere(ctx.recipe.quantity("current")))
        await counter.read()
        await _charge_until(ctx, counter, wanted_ah)
        await cycler.set_current(lease, Ampere(0.0))
        await counter.read()
        await cycler.disarm(lease)
    return counter.ah


async def _charge_until(ctx: StepContext, counter: _Counter, wanted_ah: float) -> None:
    amps, poll_s = ctx.recipe.quantity("current"), ctx.recipe.quantity("poll")
    deadline_s = ctx.now() + LATE * (HOUR_S * wanted_ah / amps + poll_s)
    while counter.ah < wanted_ah:
        if ctx.now() > deadline_s:
            raise StepInvalid(f"{counter.ah:.2f} of {wanted_ah:.2f} Ah charged in time; check the cycler")
        await ctx.dwell(min(poll_s, HOUR_S * (wanted_ah - counter.ah) / amps))
        (snapshot,) = await ctx.devices.bms.cells(ctx.leases["bms"], 1)
        require_cells_within(ctx, snapshot.voltage_v)
        await counter.read()
