"""A recipe for the bench whose dwell times are shorter: only waits of the station's own choice.

What a pack or device needs stays as it is: pulses, charge, recordings, the time constants of resistors and
capacitors, the time in which a BMS sets its trouble codes, and every deadline. The factor becomes part of the
recipe's revision, so that a record tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bmsctl.domain.recipe import EOL, STACKING, Recipe, StepRecipe

FACTOR_MAX = 10.0

DWELLS: Mapping[str, tuple[str, ...]] = {
    "quiescent_current": ("settle", "average"),
    "bms_alive": ("observe", "awake_average"),
    "cells_at_rest": ("rest",),
    "dcir": ("rest_time",),
    "ship_soc": ("settle",),
    "sleep": ("settle", "average"),
}
"""Parameters of end-of-line steps that are dwell times."""


def shortened(recipe: Recipe, factor: float) -> Recipe:
    """The recipe with its dwell times divided by `factor`; the recipe itself if that is 1.

    Raises:
        ValueError: the factor is below 1 or above FACTOR_MAX.
    """
    if not 1.0 <= factor <= FACTOR_MAX:
        raise ValueError(f"the dwell factor must be from 1 to {FACTOR_MAX:g}, not {factor:g}")
    if factor == 1.0:
        return recipe
    steps = {STACKING: recipe.stacking, EOL: [_shortened(step, factor) for step in recipe.eol]}
    return Recipe.of(f"{recipe.revision}, dwell times / {factor:g}", recipe.pack, steps, {})


def _shortened(step: StepRecipe, factor: float) -> StepRecipe:
    names = DWELLS.get(step.run, ())
    return replace(
        step,
        params={name: step.quantity(name) / factor if name in names else value for name, value in step.params.items()},
    )
