"""Worlds by name, from the entry point group `bmsctl.worlds`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from bmsctl.domain.recipe import Recipe
from bmsctl.domain.world import DefectCase, World
from bmsctl.errors import Refused


def open_world(name: str, recipe: Recipe, *, seed: int, scenario: str | None, scenario_file: str = "") -> World:
    """Make the world `name` around a station testing packs of `recipe`.

    Args:
        seed: everything drawn in the world derives from it.
        scenario: TOML text that only the world understands; None for a good pack and a good station.
        scenario_file: its name, for messages.

    Raises:
        Refused: no such world is installed.
        ScenarioError: the world does not understand the scenario, or cannot be disturbed.
    """
    world: World = _factory(name)(recipe, seed=seed, scenario=scenario, scenario_file=scenario_file)
    return world


def defect_cases(name: str, recipe: Recipe) -> list[DefectCase]:
    """The defect table of a simulated world, for packs of a recipe.

    Raises:
        Refused: no such world is installed.
    """
    cases: list[DefectCase] = _factory(name).defect_cases(recipe)
    return cases


def _factory(name: str) -> Any:
    found = entry_points(group="bmsctl.worlds", name=name)
    if not found:
        known = ", ".join(sorted(entry_points(group="bmsctl.worlds").names))
        raise Refused(f"no world named {name!r} is installed; installed: {known}")
    return next(iter(found)).load()
