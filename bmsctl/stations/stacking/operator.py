"""What the person at the station is asked, as several steps ask it."""

from __future__ import annotations

from bmsctl.domain.ports import Instruction, ManualTask
from bmsctl.domain.units import Second
from bmsctl.errors import StepInvalid
from bmsctl.protocols.part_label import PartLabel, parse_label
from bmsctl.stations.stacking.context import StepContext


async def confirm(ctx: StepContext, task: ManualTask, part: str, text: str, within: str, detail: str = "") -> None:
    """Let the person do something and confirm it; `text` and `within` are names of parameters."""
    instruction = Instruction(task, part, ctx.recipe.text(text), detail)
    await ctx.devices.operator.confirm(ctx.leases["operator"], instruction, Second(ctx.recipe.quantity(within)))


async def scan(ctx: StepContext, task: ManualTask, part: str, text: str, within: str, detail: str = "") -> PartLabel:
    """What the label says that the person scans by hand; `text` and `within` are names of parameters.

    Raises:
        StepInvalid: what was scanned is no part's label.
    """
    instruction = Instruction(task, part, ctx.recipe.text(text), detail)
    within_s = Second(ctx.recipe.quantity(within))
    return label_of(await ctx.devices.operator.scan(ctx.leases["operator"], instruction, within_s), part)


def label_of(content: str, part: str) -> PartLabel:
    """What a scanned label says; StepInvalid if it is none."""
    try:
        return parse_label(content)
    except ValueError as error:
        raise StepInvalid(f"{part}: the label cannot be read: {error}") from error


async def require_live_work(ctx: StepContext) -> None:
    """Note who does the live work of this step; nobody who may not begins it.

    Raises:
        DeviceRefused: the person has no such qualification.
    """
    qualification, within = ctx.recipe.text("qualification"), Second(ctx.recipe.quantity("ask_within"))
    person = await ctx.devices.operator.qualified(ctx.leases["operator"], qualification, within)
    ctx.note("qualified", f"{person}: {qualification}")
