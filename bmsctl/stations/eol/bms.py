"""Does the BMS wake, speak cleanly, draw what it should, and carry the right software without foreign codes?"""

from __future__ import annotations

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import BmsIdentity
from bmsctl.domain.units import Ampere, Second
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.dtcs import counted, number
from bmsctl.stations.eol.wake import wake


async def bms_alive(ctx: StepContext) -> None:
    """Measure the time to the first frame after wake, the bad frames in a window after it, and the current awake.

    INVALID if the BMS speaks another revision of the message set than the recipe's.
    """
    bms = ctx.devices.bms
    await wake(ctx, "first_frame")
    wanted = ctx.recipe.count("message_set")
    if bms.dbc_revision() != wanted:
        raise StepInvalid(
            f"the BMS speaks message set {bms.dbc_revision()}, the recipe {wanted}: take the other recipe"
        )
    errors = await bms.frame_errors(ctx.leases["bms"], Second(ctx.recipe.quantity("observe")))
    ctx.measure("frame_errors", Reading(float(errors), None))
    range_a, over_s = Ampere(ctx.recipe.quantity("awake_range")), Second(ctx.recipe.quantity("awake_average"))
    awake_a = await ctx.devices.lv_supply.current(ctx.leases["lv_supply"], range_a, over_s)
    ctx.measure("awake_current", Reading(awake_a, "A", ctx.recipe.quantity("u95_awake")))


async def bms_identity(ctx: StepContext) -> None:
    """Compare part numbers and software with the recipe; after clearing, no trouble code may be foreign.

    A code that another step owns is left to that step; every other one is the pack's.
    """
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    identity = await bms.identity(lease)
    for name, said, wanted in _comparisons(identity, ctx):
        ctx.measure(name, Reading(float(said == wanted), None, detail=f"BMS {said!r}, recipe {wanted!r}"))
    await bms.clear_dtcs(lease)
    await ctx.dwell(ctx.recipe.quantity("dtc_settle"))
    owners = ctx.facts.dtc_owners = ctx.recipe.table("dtc_owners")
    ctx.measure("foreign_dtcs", counted(dtc for dtc in await bms.dtcs(lease) if number(dtc) not in owners))


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
