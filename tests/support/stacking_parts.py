"""A pack and its modules as tests of stacking have them: all parts good, all data known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.events import Event, ModuleAccepted, PartInstalled
from bmsctl.domain.ports import ModuleData
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.domain.units import Ohm, Second, Volt
from bmsctl.protocols.part_label import PartLabel

RECIPE: Recipe = RecipeBook().by_pack("AS52")
SERIAL = "AS52000000001"
TRAY = PartLabel("295T52000R", SERIAL, "T1")
MODULE = "295M24112R"
CELLS = RECIPE.pack.series // RECIPE.pack.modules
REST_V = 3.65
DAY_S = 86400.0


def recipe_of(run: str, **params: Any) -> StepRecipe:
    """The installed recipe's step, with some parameters changed."""
    step = next(step for step in RECIPE.steps("stacking") if step.run == run)
    return replace(step, params={**step.params, **params})


def module(number: int, **changes: Any) -> ModuleData:
    """A module of the buffer."""
    cells = tuple(Volt(REST_V) for _ in range(CELLS))
    age = Second((40 - number) * DAY_S)
    return replace(ModuleData(f"M{number}", MODULE, "L1", age, cells, Volt(REST_V), Ohm(8.6e-3)), **changes)


def accepted(number: int) -> ModuleAccepted:
    """The module of the slot with this number, as the station has measured it."""
    data = module(number)
    identity = f"module {number}", data.part_number, data.serial, data.lot
    return ModuleAccepted(*identity, data.age, data.cell_voltage_v, CELLS * REST_V, 8.6e-3, 25.0)


def built(*slots: str) -> list[Event]:
    """A pack that has these parts; a module with what was measured of it."""
    events: list[Event] = []
    for slot in slots:
        kind, _, number = slot.partition(" ")
        if kind == "module":
            events.append(accepted(int(number)))
        events.append(PartInstalled(slot, "P", f"M{number}" if kind == "module" else None, None))
    return events


STACK = tuple(f"module {number}" for number in range(1, RECIPE.pack.modules + 1))
