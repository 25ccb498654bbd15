"""Is every module in its slot, the right way round? The signed voltage tells, before any busbar could be put on."""

from __future__ import annotations

from bmsctl.domain.events import ModuleAccepted, PartInstalled
from bmsctl.domain.incoming import incoming_of
from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import ManualTask
from bmsctl.domain.steps import of_part
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StepInvalid
from bmsctl.stations.stacking.context import (
    StepContext,
    measure_earlier,
    measure_once,
    record,
    slots_of,
    verdicts_of,
)
from bmsctl.stations.stacking.operator import confirm, scan
from bmsctl.stations.stacking.voltages import battery

PLACE_MEASUREMENTS = ("serial_match", "voltage")


async def place(ctx: StepContext) -> None:
    """Have the modules placed in slot order, and measure each at once; one that is not right ends the step."""
    for slot, orientation in slots_of(ctx.recipe, "slots"):
        if not await _place_and_measure(ctx, slot, orientation):
            return


async def _place_and_measure(ctx: StepContext, slot: str, orientation: str) -> bool:
    """Have the accepted module placed and measure it, unless that is done; whether it lies the right way round."""
    verdicts = verdicts_of(ctx, slot, *PLACE_MEASUREMENTS)
    if slot in ctx.facts.built.parts and len(verdicts) < len(PLACE_MEASUREMENTS):
        verdicts = measure_earlier(ctx, slot, *PLACE_MEASUREMENTS) or verdicts
    if any(verdict is not Verdict.PASS for verdict in verdicts):
        return False
    if len(verdicts) == len(PLACE_MEASUREMENTS):
        return True
    accepted = ctx.facts.built.accepted.get(slot)
    if accepted is None:
        raise StepInvalid(
            f"{slot}: no module was accepted for it: start the pack again with a cause, so that modules_in is run"
        )
    if not await _have_placed(ctx, slot, orientation, accepted):
        return False
    volts = (await battery(ctx)).voltage
    u95_v = ctx.recipe.quantity("u95_share") / 100.0 * abs(volts)
    text = f"module {accepted.serial}, {orientation}: turn it round" if volts < 0.0 else f"module {accepted.serial}"
    return measure_once(ctx, of_part("voltage", slot), Reading(volts, "V", u95_v, detail=text)) is Verdict.PASS


async def _have_placed(ctx: StepContext, slot: str, orientation: str, accepted: ModuleAccepted) -> bool:
    """Have the module placed, and put on record with its incoming data if its label is right; whether it is."""
    detail = f"{accepted.serial}, {orientation}"
    await confirm(ctx, ManualTask.PLACE, slot, "place", "place_within", detail)
    label = await scan(ctx, ManualTask.PLACE, slot, "place", "scan_within", detail)
    text = f"module {label.serial} is in the slot of {accepted.serial}: take it out"
    right = label.serial == accepted.serial
    verdict = measure_once(ctx, of_part("serial_match", slot), Reading(float(right), None, detail=text))
    if verdict is not Verdict.PASS:
        return False
    if not right:
        raise StepInvalid(f"{slot}: {text}")
    if slot not in ctx.facts.built.parts:
        record(ctx, PartInstalled(slot, accepted.part_number, accepted.serial, accepted.lot))
    known = {event.name for event in ctx.facts.built.parts[slot].incoming}
    incoming = incoming_of(
        slot,
        accepted.age,
        accepted.cell_voltage,
        voltage=accepted.voltage,
        resistance=accepted.resistance,
        temperature=accepted.temperature,
    )
    record(ctx, *[event for event in incoming if event.name not in known])
    return True
