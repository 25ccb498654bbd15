"""Is every module in its slot, the right way round? The signed voltage tells, before any busbar could be put on."""

from __future__ import annotations

from bmsctl.domain.events import IncomingMeasured, ModuleAccepted, PartInstalled
from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import Deed
from bmsctl.domain.steps import of_part
from bmsctl.domain.units import Ohm, Volt
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

EACH = ("serial_match", "voltage")


async def place(ctx: StepContext) -> None:
    """Have the modules placed in slot order, and measure each at once; one that is not right ends the step."""
    for slot, orientation in slots_of(ctx.recipe, "slots"):
        if not await _placed(ctx, slot, orientation):
            return


async def _placed(ctx: StepContext, slot: str, orientation: str) -> bool:
    """Whether the module that was accepted is in its slot, the right way round."""
    verdicts = verdicts_of(ctx, slot, *EACH)
    if slot in ctx.facts.parts and len(verdicts) < len(EACH):
        verdicts = measure_earlier(ctx, slot, *EACH) or verdicts
    if any(verdict is not Verdict.PASS for verdict in verdicts):
        return False
    if len(verdicts) == len(EACH):
        return True
    accepted = ctx.facts.accepted.get(slot)
    if accepted is None:
        raise StepInvalid(f"{slot}: no module was accepted for it; step modules_in did not run")
    if not await _is_in(ctx, slot, orientation, accepted):
        return False
    ranges = Volt(ctx.recipe.quantity("voltage_range")), Ohm(ctx.recipe.quantity("resistance_range"))
    volts = (await ctx.devices.battery_tester.measure(ctx.leases["battery_tester"], *ranges)).voltage
    u95_v = ctx.recipe.quantity("u95_share") / 100.0 * abs(volts)
    text = f"module {accepted.serial}, {orientation}: turn it round" if volts < 0.0 else f"module {accepted.serial}"
    return measure_once(ctx, of_part("voltage", slot), Reading(volts, "V", u95_v, detail=text)) is Verdict.PASS


async def _is_in(ctx: StepContext, slot: str, orientation: str, accepted: ModuleAccepted) -> bool:
    """Have the module placed, compare its label, and put it on record with its incoming data."""
    detail = f"{accepted.serial}, {orientation}"
    await confirm(ctx, Deed.PLACE, slot, "place", "place_within", detail)
    label = await scan(ctx, Deed.PLACE, slot, "place", "scan_within", detail)
    text = f"module {label.serial} is in the slot of {accepted.serial}: take it out"
    right = label.serial == accepted.serial
    verdict = measure_once(ctx, of_part("serial_match", slot), Reading(float(right), None, detail=text))
    if verdict is not Verdict.PASS:
        return False
    if not right:
        raise StepInvalid(f"{slot}: {text}")
    if slot not in ctx.facts.parts:
        record(ctx, PartInstalled(slot, accepted.part_number, accepted.serial, accepted.lot))
    known = ctx.facts.incoming.get(slot, set())
    record(ctx, *[event for event in _incoming(accepted) if event.name not in known])
    return True


def _incoming(module: ModuleAccepted) -> list[IncomingMeasured]:
    return [
        IncomingMeasured(module.slot, "age", "s", (module.age,)),
        IncomingMeasured(module.slot, "cell_voltage", "V", module.cell_voltage),
        IncomingMeasured(module.slot, "voltage", "V", (module.voltage,)),
        IncomingMeasured(module.slot, "resistance", "Ohm", (module.resistance,)),
        IncomingMeasured(module.slot, "temperature", "degC", (module.temperature,)),
    ]
