"""Are the modules in the slots where the genealogy has them?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bmsctl.analysis.fingerprint import Match, compare_modules
from bmsctl.domain.events import PartInstalled
from bmsctl.domain.incoming import incoming_of
from bmsctl.domain.parts import module_slot
from bmsctl.domain.ports import F64, IncomingModule
from bmsctl.domain.units import Second
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext


async def install_modules(ctx: StepContext) -> None:
    """Learn the pack's modules and log each in its slot, once; INVALID if they do not make up this pack."""
    if ctx.facts.modules:
        return
    within = Second(ctx.recipe.quantity("incoming_within"))
    ctx.leases["bms"].quiet_for(within)
    modules = await ctx.devices.genealogy.modules(ctx.facts.label, within)
    _require_whole(ctx, modules)
    ctx.facts.modules = modules
    for module in modules:
        slot = module_slot(module.slot)
        ctx.log.append(PartInstalled(slot, module.part_number, module.serial, module.lot))
        for event in incoming_of(slot, module.age, module.cell_voltage_v):
            ctx.log.append(event)


def _require_whole(ctx: StepContext, modules: Sequence[IncomingModule]) -> None:
    pack = ctx.pack
    wanted = [(slot, pack.series // pack.modules) for slot in range(1, pack.modules + 1)]
    known = [(module.slot, len(module.cell_voltage_v)) for module in modules]
    if known and known != wanted:
        slots = ", ".join(f"{slot} ({cells} cells)" for slot, cells in known)
        raise StepInvalid(
            f"the genealogy knows module slots {slots}, the pack has {pack.modules} of {wanted[0][1]} cells"
        )


def check_fingerprint(ctx: StepContext, voltage_v: F64) -> None:
    """Compare the cells, (n_series,) volts, with the modules as they came in, and note the outcome.

    Raises:
        StepInvalid: two modules look exchanged.
    """
    if len(ctx.facts.modules) < 2:
        ctx.note("fingerprint", f"{Match.NOT_DISTINGUISHABLE}: nothing known to compare with")
        return
    incoming_v = np.array([module.cell_voltage_v for module in ctx.facts.modules])
    found = compare_modules(
        incoming_v,
        voltage_v.reshape(incoming_v.shape),
        ctx.recipe.quantity("fingerprint_noise"),
        ctx.recipe.count("fingerprint_odds"),
    )
    one, other = found.slots
    likeliest = f"likeliest to be exchanged are slots {one} and {other}, log-likelihood ratio {found.log_ratio:.1f}"
    ctx.note("fingerprint", f"{found.match}: {likeliest}")
    if found.match is Match.CONTRADICTED:
        raise StepInvalid(
            f"the cells of slots {one} and {other} look exchanged against the modules' incoming data: hold the pack, "
            "read the serials of both modules"
        )
