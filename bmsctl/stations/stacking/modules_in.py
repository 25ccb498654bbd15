"""Are the modules what their supplier says? Open-circuit voltage, AC resistance, insulation, and one temperature.

Each is measured on the test table before it goes into the pack; one that is not right ends the step.
"""

from __future__ import annotations

import math

from bmsctl.domain.events import ModuleAccepted
from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import BatteryReading, ManualTask, ModuleData
from bmsctl.domain.steps import of_part
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StepInvalid
from bmsctl.stations.insulation import insulation
from bmsctl.stations.stacking.context import (
    StepContext,
    measure_earlier,
    measure_once,
    record,
    slots_of,
    verdicts_of,
)
from bmsctl.stations.stacking.incoming import choose, fetch
from bmsctl.stations.stacking.operator import confirm
from bmsctl.stations.stacking.permit import permitted
from bmsctl.stations.stacking.voltages import battery

MODULE_MEASUREMENTS = ("part_match", "age", "ocv_deviation", "acir_deviation", "insulation")


async def modules_in(ctx: StepContext) -> None:
    """Measure the module of every slot, in order; those that have stayed in the pack are judged as they came in."""
    slots = [slot for slot, _ in slots_of(ctx.recipe, "slots")]
    kept = [slot for slot in slots if slot in ctx.facts.built.parts]
    for slot in kept:
        if measure_earlier(ctx, slot, *MODULE_MEASUREMENTS) is None:
            raise StepInvalid(f"{slot} is in the pack, and how it came in is not on record: name it as replaced")
    fresh = [slot for slot in slots if slot not in kept]
    wanted = await choose(ctx, fresh)
    for slot in fresh:
        if not await _measure_module(ctx, slot, wanted[slot]):
            return
    celsius = [ctx.facts.built.accepted[slot].temperature for slot in fresh]
    spread_k = max(celsius, default=0.0) - min(celsius, default=0.0)
    u95_k = math.sqrt(2.0) * ctx.recipe.quantity("u95_temperature")
    measure_once(ctx, "temperature_spread", Reading(spread_k, "K", u95_k))


async def _measure_module(ctx: StepContext, slot: str, wanted: ModuleData) -> bool:
    """Have the module for a slot fetched and measured, unless an earlier process has; whether it is right."""
    verdicts = verdicts_of(ctx, slot, *MODULE_MEASUREMENTS)
    if any(verdict is not Verdict.PASS for verdict in verdicts):
        return False
    if slot in ctx.facts.built.accepted and len(verdicts) == len(MODULE_MEASUREMENTS):
        return True
    if not await fetch(ctx, slot, wanted):
        return False
    await confirm(ctx, ManualTask.PROBE, slot, "probe", "probe_within", wanted.serial)
    celsius = await ctx.devices.ohmmeter.temperature(ctx.leases["ohmmeter"])
    reading = await battery(ctx)
    _compare(ctx, slot, wanted, reading, celsius)
    async with permitted(ctx):
        ohm = await insulation(ctx, "test_voltage", "test_time")
    detail = f"module {wanted.serial} {ohm.detail}"
    measure_once(ctx, of_part("insulation", slot), ohm._replace(detail=detail))
    if any(verdict is not Verdict.PASS for verdict in verdicts_of(ctx, slot, *MODULE_MEASUREMENTS)):
        return False
    measured = reading.voltage, reading.resistance, celsius
    identity = wanted.part_number, wanted.serial, wanted.lot
    record(ctx, ModuleAccepted(slot, *identity, wanted.age, wanted.cell_voltage_v, *measured))
    await ctx.log.commit()
    return True


def _compare(ctx: StepContext, slot: str, module: ModuleData, reading: BatteryReading, celsius: float) -> None:
    """Against the medians of its lot: voltage per cell group, and resistance as it is at the medians' temperature."""
    cells, recipe = ctx.pack.series // ctx.pack.modules, ctx.recipe
    if len(module.cell_voltage_v) != cells:
        raise StepInvalid(
            f"{slot}: the incoming data of module {module.serial} has {len(module.cell_voltage_v)} cell groups, "
            f"the pack's modules have {cells}: ask for the right data"
        )
    share = recipe.quantity("acir_per_kelvin") / 100.0
    ohm = reading.resistance / (1.0 - share * (celsius - recipe.quantity("reference_temperature")))
    ocv_v, acir = reading.voltage / cells - module.lot_ocv, 100.0 * (ohm / module.lot_acir - 1.0)
    text = f"module {module.serial}, {reading.voltage:.3f} V, {reading.resistance * 1e3:.3f} mOhm at {celsius:.1f} °C"
    u95_v, u95_acir = recipe.quantity("u95_ocv"), recipe.quantity("u95_acir")
    measure_once(ctx, of_part("ocv_deviation", slot), Reading(ocv_v, "V", u95_v, detail=text))
    measure_once(ctx, of_part("acir_deviation", slot), Reading(acir, "%", u95_acir, detail=text))
