"""Is the pack as a customer gets it: its numbers written, nothing taken over, and its monitors awake and content?"""

from __future__ import annotations

from bmsctl.domain.limits import Reading
from bmsctl.domain.units import Second
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.dtcs import counted

SLEEP_DELAY_STEP_S = 0.1
"""Resolution of the stored sleep delay (DID 9281)."""


async def write_identity(ctx: StepContext) -> None:
    """Write traceability number, VIN if the order has one, and sleep delay; release the BMS; read all of it back."""
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    number, delay = ctx.recipe.text("traceability") + ctx.facts.label, Second(ctx.recipe.quantity("sleep_delay"))
    await bms.write_identity(lease, number, ctx.facts.vin)
    await bms.set_sleep_delay(lease, delay)
    await bms.release(lease)
    _compare(ctx, "traceability_match", await bms.traceability(lease), number)
    _compare(ctx, "vin_match", await bms.vin(lease), ctx.facts.vin or "")
    stored = await bms.sleep_delay(lease)
    matches = abs(stored - delay) < SLEEP_DELAY_STEP_S / 2
    ctx.measure("sleep_delay_match", Reading(float(matches), None, detail=f"BMS {stored:g} s, recipe {delay:g} s"))
    held = (await bms.plant_mode(lease)).held
    ctx.measure("not_released", Reading(float(len(held)), None, detail=", ".join(held)))


def _compare(ctx: StepContext, name: str, said: str, written: str) -> None:
    ctx.measure(name, Reading(float(said == written), None, detail=f"BMS {said!r}, wanted {written!r}"))


async def dtc_final(ctx: StepContext) -> None:
    """Count trouble codes after clearing, and monitors that have not judged since: those may not run at all."""
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    await bms.clear_dtcs(lease)
    await ctx.dwell(ctx.recipe.quantity("dtc_settle"))
    ctx.measure("dtcs", counted(await bms.dtcs(lease)))
    monitors = await bms.monitors(lease)
    if monitors.supported == 0:
        raise StepInvalid("the BMS names no trouble code it supports; that there is none proves nothing")
    ctx.measure("monitors_open", counted(monitors.not_completed))
