"""Is this the pack on the label, and is it safe to dock?

The safety PLC proves the outer poles dead, the BMS is woken, its serial compared with the scanned label,
the cells read once as they arrived, and the BMS sent back to sleep.
"""

from __future__ import annotations

import numpy as np

from bmsctl.domain.limits import Reading
from bmsctl.domain.units import Second
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.wake import wake
from bmsctl.stations.step import StepContext

PLC_WITHIN = Second(0.5)


async def identify(ctx: StepContext) -> None:
    """Measure docking voltage and wake time; INVALID if the BMS is not the one on the label."""
    plc, bms = ctx.devices.plc, ctx.devices.bms
    volts = await plc.voltages(PLC_WITHIN)
    worst_v = max((volts.u_pn, volts.u_p_pe, volts.u_n_pe), key=abs)
    ctx.measure("docking_voltage", Reading(worst_v, "V", ctx.recipe.quantity("u95_voltage")))

    await wake(ctx, "wake_time")

    identity = await bms.identity(ctx.leases["bms"])
    if identity.pack_serial != ctx.facts.label:
        raise StepInvalid(
            f"the BMS says pack {identity.pack_serial}, the label {ctx.facts.label}: "
            "hold the pack, check label and BMS against the build order"
        )
    snapshots = await bms.cells(ctx.leases["bms"], ctx.recipe.count("snapshots"))
    ctx.trace("cells_at_arrival", "V", None, np.mean([shot.voltage_v for shot in snapshots], axis=0))

    await bms.set_sleep_delay(ctx.leases["bms"], Second(ctx.recipe.quantity("sleep_delay")))
    await plc.supply(ctx.leases["plc"], kl30=True, kl15=False)
    await bms.silent(ctx.leases["bms"], Second(ctx.recipe.quantity("sleep_within")))
