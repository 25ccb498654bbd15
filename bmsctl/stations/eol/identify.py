"""Is this the pack on the label, with the modules it is said to have, and is it safe to dock?

The safety PLC proves the outer poles dead before anybody docks. Then the adapter's code is read, the BMS woken, its
serial compared with the label and its cells with the modules' incoming data, and the BMS sent back to sleep.
"""

from __future__ import annotations

import numpy as np

from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import F64, Instruction, ManualTask
from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.fingerprint import check_fingerprint, install_modules
from bmsctl.stations.eol.wake import wake

VOLTAGES_WITHIN = Second(0.5)
SENSE_WITHIN = Second(1.5)
"""Three periods of the PLC's inputs."""


async def identify(ctx: StepContext) -> None:
    """Measure docking voltage and wake time; INVALID if adapter, BMS or modules are not those of the label."""
    if await _docking_voltage(ctx) is not Verdict.PASS:
        return
    ctx.facts.contactors_opened_s = ctx.now()
    await _dock(ctx)
    voltage, limit = Volt(ctx.recipe.quantity("supply_voltage")), Ampere(ctx.recipe.quantity("supply_limit"))
    await ctx.devices.lv_supply.on(ctx.leases["lv_supply"], voltage, limit)
    await wake(ctx, "wake_time")
    await _check_serial(ctx)
    await install_modules(ctx)
    check_fingerprint(ctx, await _cells_at_arrival(ctx))
    await _send_to_sleep(ctx)


async def _docking_voltage(ctx: StepContext) -> Verdict:
    volts = await ctx.devices.plc.voltages(VOLTAGES_WITHIN)
    worst_v = max((volts.u_pn, volts.u_p_pe, volts.u_n_pe), key=abs)
    return ctx.measure("docking_voltage", Reading(worst_v, "V", ctx.recipe.quantity("u95_voltage")))


async def _dock(ctx: StepContext) -> None:
    """Let the operator dock the pack, and see that it is by the right adapter."""
    within = Second(ctx.recipe.quantity("dock_within"))
    await ctx.devices.operator.confirm(
        ctx.leases["operator"], Instruction(ManualTask.DOCK, "", ctx.recipe.text("docking")), within
    )
    ctx.leases["plc"].quiet_for(SENSE_WITHIN)
    mated = (await ctx.devices.plc.sense(SENSE_WITHIN)).adapter
    wanted = ctx.recipe.count("adapter")
    if mated != wanted:
        found = "no adapter" if mated is None else f"adapter {mated}"
        raise StepInvalid(f"{found} is mated, this pack takes adapter {wanted}: change it and start again")


async def _check_serial(ctx: StepContext) -> None:
    identity = await ctx.devices.bms.identity(ctx.leases["bms"])
    if identity.pack_serial != ctx.facts.label:
        raise StepInvalid(
            f"the BMS says pack {identity.pack_serial}, the label {ctx.facts.label}: "
            "hold the pack, check label and BMS against the build order"
        )


async def _cells_at_arrival(ctx: StepContext) -> F64:
    """(n_series,) volts, before anything has been done to the pack."""
    snapshots = await ctx.devices.bms.cells(ctx.leases["bms"], ctx.recipe.count("snapshots"))
    voltage_v: F64 = np.mean([shot.voltage_v for shot in snapshots], axis=0)
    ctx.trace("cells_at_arrival", "V", None, voltage_v)
    return voltage_v


async def _send_to_sleep(ctx: StepContext) -> None:
    """By a shortened delay; the step `write_identity` stores the one to ship."""
    bms, lease = ctx.devices.bms, ctx.leases["bms"]
    await bms.set_sleep_delay(lease, Second(ctx.recipe.quantity("sleep_delay")))
    await ctx.devices.plc.supply(ctx.leases["plc"], kl30=True, kl15=False)
    await bms.silent(lease, Second(ctx.recipe.quantity("sleep_within")))
