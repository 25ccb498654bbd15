"""Questions about parts to the plant's MES, as several steps ask them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from bmsctl.domain.units import Second
from bmsctl.stations.stacking.context import StepContext

T = TypeVar("T")


async def ask_parts(ctx: StepContext, question: Callable[[Second], Awaitable[T]]) -> T:
    """What is answered within the recipe's time, in which no device need speak.

    Raises:
        DeviceTimeout: nothing is.
    """
    within = Second(ctx.recipe.quantity("answer_within"))
    ctx.leases["operator"].quiet_for(within)
    return await question(within)
