"""Resistance by the ohmmeter, as several stations measure it."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.ports import Ohmmeter, ResistanceReading
from bmsctl.domain.recipe import StepRecipe
from bmsctl.domain.units import Ohm
from bmsctl.errors import ReplyInvalid, StepInvalid
from bmsctl.stations.step import StepContext


class Measuring(Protocol):
    """Devices with an ohmmeter among them."""

    @property
    def ohmmeter(self) -> Ohmmeter: ...


D = TypeVar("D", bound=Measuring)


async def resistance(ctx: StepContext[D, Any], channel: int, where: str) -> ResistanceReading:
    """What lies at a channel of the multiplexer, in the recipe's range.

    Raises:
        StepInvalid: no contact, or no plausible answer; says where.
    """
    range_ohm = Ohm(ctx.recipe.quantity("range"))
    try:
        return await ctx.devices.ohmmeter.measure(ctx.leases["ohmmeter"], channel, range_ohm)
    except ReplyInvalid as error:
        raise StepInvalid(f"{where}: {error}") from error


def reading_of(measured: ResistanceReading, recipe: StepRecipe, detail: str = "") -> Reading:
    """With its uncertainty; over range, with contact proven, it is at least the end of the range."""
    u95_ohm = recipe.quantity("u95_offset") + recipe.quantity("u95_share") / 100.0 * measured.ohm
    return Reading(measured.ohm, "Ohm", u95_ohm, detail, ABOVE if measured.over_range else None)
