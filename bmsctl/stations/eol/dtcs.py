"""Trouble codes that belong to a step: the BMS sets them by itself, the step they are about judges them."""

from __future__ import annotations

from collections.abc import Iterable

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import Dtc
from bmsctl.stations.eol.context import StepContext


async def measure_own_dtcs(ctx: StepContext) -> None:
    """Count the trouble codes that the recipe gives to this step."""
    owners = ctx.facts.dtc_owners
    stored = await ctx.devices.bms.dtcs(ctx.leases["bms"])
    ctx.measure("own_dtcs", counted(dtc for dtc in stored if owners.get(number(dtc)) == ctx.recipe.run))


def counted(dtcs: Iterable[Dtc]) -> Reading:
    """The number of codes, naming them."""
    codes = [str(dtc) for dtc in dtcs]
    return Reading(float(len(codes)), None, detail=", ".join(codes))


def number(dtc: Dtc) -> str:
    """A code without its failure type, as recipes name it."""
    return f"{dtc.code >> 8:04X}"
