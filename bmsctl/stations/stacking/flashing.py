"""Is the BMS the right one, with the right software, and of no car yet? Other software is replaced.

A BMS whose writing was interrupted answers from its boot loader, without identification: it is written anew.
"""

from __future__ import annotations

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import BmsIdentity
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, DeviceTimeout, ReplyInvalid, StepInvalid
from bmsctl.stations.stacking.context import StepContext, measure_once
from bmsctl.stations.stacking.power import powered

PARTS = ("part_number_match", "hardware_match")
SOFTWARE = ("software_match", "calibration_match")


async def bms_flash(ctx: StepContext) -> None:
    """Write the recipe's software if there is another, then compare all that the BMS says of itself.

    A BMS of another part number or hardware is not written; one that answers from its boot loader only is, and says
    afterwards what it is.
    """
    async with powered(ctx):
        identity = await _identity(ctx)
        for attempt in range(1, ctx.recipe.count("flashings_max") + 1):
            if identity is not None and not _to_be_written(ctx, identity):
                break
            identity = await _write(ctx, identity, last=attempt == ctx.recipe.count("flashings_max"))
        if identity is None:
            raise StepInvalid("the BMS has no software it can run after it was written: replace it")
        for name, (said, wanted) in _comparisons(ctx, identity).items():
            measure_once(ctx, name, Reading(float(said == wanted), None, detail=f"BMS {said!r}, recipe {wanted!r}"))
        vin = await ctx.devices.bms.vin(ctx.leases["bms"])
        measure_once(ctx, "vin_blank", Reading(float(vin == ""), None, detail=f"VIN {vin}"))


async def _identity(ctx: StepContext) -> BmsIdentity | None:
    """What the BMS says it is; None if its boot loader refuses to say."""
    try:
        return await ctx.devices.bms.identity(ctx.leases["bms"])
    except DeviceRefused as error:
        ctx.note("bms", f"no identification: {error}")
        return None


def _to_be_written(ctx: StepContext, identity: BmsIdentity) -> bool:
    compared = _comparisons(ctx, identity)
    right = {name: said == wanted for name, (said, wanted) in compared.items()}
    return all(right[name] for name in PARTS) and not all(right[name] for name in SOFTWARE)


async def _write(ctx: StepContext, before: BmsIdentity | None, last: bool) -> BmsIdentity | None:
    """Write the image and restart; what the BMS says it is then. A failure counts only if it was the last attempt."""
    bms, lease, image = ctx.devices.bms, ctx.leases["bms"], ctx.facts.image
    if not image:
        raise StepInvalid(f"the image {ctx.recipe.text('image')} is not at the station: the BMS cannot be written")
    had = "no software" if before is None else f"{before.software}/{before.software_version}"
    ctx.note("flash", f"{had} is replaced by {ctx.recipe.text('image')}, sha256 {ctx.recipe.text('image_sha256')}")
    await ctx.log.commit()
    try:
        await bms.flash(lease, image, ctx.recipe.count("image_address"), lambda share: None)
        await bms.restart(lease, Second(ctx.recipe.quantity("restart_within")))
    except (DeviceRefused, DeviceTimeout, ReplyInvalid) as error:
        if last:
            raise
        ctx.note("flash", f"not written: {error}")
    return await _identity(ctx)


def _comparisons(ctx: StepContext, identity: BmsIdentity) -> dict[str, tuple[str, str]]:
    """What the BMS says and what the recipe wants, by measurement."""
    text = ctx.recipe.text
    return {
        "part_number_match": (identity.part_number, text("part_number")),
        "hardware_match": (identity.hardware, text("hardware")),
        "software_match": (
            f"{identity.software}/{identity.software_version}",
            f"{text('software')}/{text('software_version')}",
        ),
        "calibration_match": (identity.calibration, text("calibration")),
    }
