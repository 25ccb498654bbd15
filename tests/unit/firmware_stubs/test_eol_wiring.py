"""The simulated end-of-line station knows the pack that its recipe describes."""

from __future__ import annotations

import pytest

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.units import Second
from firmware_stubs.defects import PackCondition
from firmware_stubs.eol_wiring import EolWiring
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wires import SimWires

SEED = 7


@pytest.mark.parametrize("pack", ["AS40", "AS52", "AM60"])
def test_the_mes_names_the_modules_that_belong_into_the_pack(pack: str) -> None:
    recipe = RecipeBook(None).by_pack(pack)
    wanted = next(step for step in recipe.stacking if step.run == "modules_in").text("part_number")

    async def main() -> None:
        wiring = EolWiring(recipe, PackCondition(), SEED, SimWires())
        modules = await wiring.mes.modules(wiring.serial, Second(5.0))
        assert len(modules) == recipe.pack.modules
        assert {module.part_number for module in modules} == {wanted}

    new_loop().run_until(main(), 10.0)
