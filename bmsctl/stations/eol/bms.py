"""Does the BMS wake, speak cleanly, and carry the right software without foreign trouble codes?"""

from __future__ import annotations

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import BmsIdentity, Dtc
from bmsctl.domain.units import Second
from bmsctl.stations.step import StepContext


async def bms_alive(ctx: StepContext) -> None:
    """Measure the time to the first frame after wake, and the bad frames in a window after it."""
    bms = ctx.devices.bms
    started_s = ctx.now()
    await ctx.devices.plc.supply(ctx.leases["plc"], kl30=True, kl15=True)
    within = Second(2.0 * (ctx.recipe.limits["first_frame"].high or 0.0))
    alive_s = await bms.alive(ctx.leases["bms"], within)
    ctx.measure("first_frame", Reading(alive_s - started_s, "s", ctx.recipe.quantity("u95_time")))
    await bms.ready(ctx.leases["bms"], Second(ctx.recipe.quantity("ready_within")))
    errors = await bms.frame_errors(ctx.leases["bms"], Second(ctx.recipe.quantity("observe")))
    ctx.measure("frame_errors", Reading(float(errors), None))


async def bms_identity(ctx: StepContext) -> None:
    """Compare part numbers and software with the recipe; after clearing, no trouble code may be foreign.

    A code that another step owns is recorded there; every other one is the pack's.
    """
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    identity = await bms.identity(lease)
    for name, said, wanted in _comparisons(identity, ctx):
        ctx.measure(name, Reading(float(said == wanted), None, detail=f"BMS {said!r}, recipe {wanted!r}"))
    await bms.clear_dtcs(lease)
    await ctx.dwell(ctx.recipe.quantity("dtc_settle"))
    foreign = [dtc for dtc in await bms.dtcs(lease) if not _owned(dtc, ctx)]
    codes = ", ".join(str(dtc) for dtc in foreign)
    ctx.measure("foreign_dtcs", Reading(float(len(foreign)), None, detail=codes))


def _comparisons(identity: BmsIdentity, ctx: StepContext) -> list[tuple[str, str, str]]:
    text = ctx.recipe.text
    return [
        ("part_number_match", identity.part_number, text("part_number")),
        ("hardware_match", identity.hardware, text("hardware")),
        (
            "software_match",
            f"{identity.software}/{identity.software_version}",
            f"{text('software')}/{text('software_version')}",
        ),
        ("calibration_match", identity.calibration, text("calibration")),
    ]


def _owned(dtc: Dtc, ctx: StepContext) -> bool:
    return f"{dtc.code >> 8:04X}" in ctx.recipe.table("dtc_owners")
