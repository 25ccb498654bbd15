"""Which module goes into which slot, and whether the one that was fetched is it.

A label that is not the one asked for stops the step before anything is touched: a wrong part fails the pack, whatever
else may be behind it (a cloned label, a module of another pack, the wrong one fetched) is for a person to look into.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import ManualTask, ModuleData
from bmsctl.domain.steps import of_part
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import Refused, StepInvalid
from bmsctl.protocols.part_label import PartLabel
from bmsctl.stations.stacking.context import StepContext, measure_once
from bmsctl.stations.stacking.mes import ask_parts
from bmsctl.stations.stacking.operator import confirm, label_of


async def choose(ctx: StepContext, slots: Sequence[str]) -> dict[str, ModuleData]:
    """The module for each of these slots: one that was accepted for it, else one that the selector takes.

    Modules of the lot that is in the pack already come first; what was taken out does not come back.

    Raises:
        StepInvalid: there are not enough modules.
    """
    wanted = {slot: await _accepted(ctx, slot) for slot in slots if slot in ctx.facts.built.accepted}
    open_slots = [slot for slot in slots if slot not in wanted]
    if open_slots:
        buffer = await ask_parts(ctx, partial(ctx.devices.parts.buffer, ctx.pack.part_number))
        wanted |= zip(open_slots, _select(ctx, buffer, len(open_slots)), strict=True)
    return wanted


async def _accepted(ctx: StepContext, slot: str) -> ModuleData:
    serial = ctx.facts.built.accepted[slot].serial
    module = await ask_parts(ctx, partial(ctx.devices.parts.module, serial))
    if module is None:
        raise StepInvalid(f"{slot}: module {serial} was accepted, and is not known any more: ask for its incoming data")
    return module


def _select(ctx: StepContext, buffer: Sequence[ModuleData], count: int) -> Sequence[ModuleData]:
    accepted = ctx.facts.built.accepted.values()
    out = {module.serial for module in accepted} | ctx.facts.removed
    part_number, lots = ctx.recipe.text("part_number"), {module.lot for module in accepted}
    right = [module for module in buffer if module.part_number == part_number and module.serial not in out]
    of_lot = [module for module in right if module.lot in lots]
    try:
        return ctx.devices.selector.select(of_lot if len(of_lot) >= count else right, count)
    except Refused as error:
        raise StepInvalid(str(error)) from error


async def fetch(ctx: StepContext, slot: str, wanted: ModuleData) -> bool:
    """Let the module be fetched and judge its label; whether it is right, and nothing keeps it from being measured.

    Raises:
        StepInvalid: the label is cloned, unknown, or that of another module than the one asked for.
    """
    await confirm(ctx, ManualTask.FETCH, slot, "fetch", "fetch_within", wanted.serial)
    within = Second(ctx.recipe.quantity("scan_within"))
    ctx.leases["scanner"].quiet_for(within)
    label = label_of(await ctx.devices.scanner.scan(ctx.leases["scanner"], within), slot)
    part_number = ctx.recipe.text("part_number")
    text = f"module {label.serial} is {label.part_number}, the recipe says {part_number}: put it aside, on hold"
    right = Reading(float(label.part_number == part_number), None, detail=text)
    if measure_once(ctx, of_part("part_match", slot), right) is not Verdict.PASS:
        return False
    await _require_original(ctx, slot, label, wanted)
    age = Reading(wanted.age, "s", detail=f"module {label.serial}: put it aside, on hold")
    return measure_once(ctx, of_part("age", slot), age) is Verdict.PASS


async def _require_original(ctx: StepContext, slot: str, label: PartLabel, wanted: ModuleData) -> None:
    serial = label.serial
    twin = next((at for at, module in ctx.facts.built.accepted.items() if module.serial == serial and at != slot), None)
    if twin is not None:
        raise StepInvalid(f"{slot}: the label says module {serial}, which is the one for {twin}: cloned, hold both")
    pack = await ask_parts(ctx, partial(ctx.devices.parts.pack_of, serial))
    if pack not in (None, ctx.facts.serial):
        raise StepInvalid(f"{slot}: module {serial} is known in pack {pack}: used, or its label is cloned; hold both")
    if await ask_parts(ctx, partial(ctx.devices.parts.module, serial)) is None:
        raise StepInvalid(f"{slot}: nothing is known of module {serial}: put it aside and ask for its incoming data")
    if (label.part_number, serial) != (wanted.part_number, wanted.serial):
        raise StepInvalid(
            f"{slot}: module {serial} was fetched instead of {wanted.serial}: hold it, fetch the right one and start "
            "again; if both have this label, it is cloned"
        )
