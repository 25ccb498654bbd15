"""Letting current flow through the cells: the cycler armed, and the cells watched."""

from __future__ import annotations

from bmsctl.domain.ports import F64
from bmsctl.domain.units import Ampere, Volt
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.context import StepContext


async def arm(ctx: StepContext, current: str) -> None:
    """Switch the cycler's output on at 0 A, protected by the recipe's voltages and the current of that name."""
    quantity = ctx.recipe.quantity
    await ctx.devices.cycler.arm(
        ctx.leases["cycler"],
        Volt(quantity("voltage_min")),
        Volt(quantity("voltage_max")),
        Ampere(quantity(current)),
    )


def require_cells_within(ctx: StepContext, voltage_v: F64) -> None:
    """See every cell within the recipe's window, (series,) volts, or ask the cycler off at once.

    A cell that no longer has a value is outside: to charge behind an open sense wire is a fire.

    Raises:
        StepInvalid: a cell is outside.
    """
    low_v, high_v = ctx.recipe.quantity("cell_min"), ctx.recipe.quantity("cell_max")
    for cell, volts in enumerate(voltage_v.tolist(), start=1):
        if not low_v <= volts <= high_v:
            ctx.devices.cycler.off()
            raise StepInvalid(f"cell {cell} at {volts:.3f} V, outside {low_v:g}…{high_v:g} V: the current was ended")
