"""Worlds by name, from the entry point group `bmsctl.worlds`."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from bmsctl.domain.recipe import EOL, Recipe
from bmsctl.domain.world import AsBuilt, DefectCase, FaultCase, World
from bmsctl.errors import Refused


class SimulatedWorld(World, Protocol):
    """A world in which a pack can be built and then tested.

    `pack_serial`: of the pack it has. `built`: how that stands when the station starts. `wall_s`: wall time since the
    simulation's first day began.
    """

    built: AsBuilt

    @property
    def pack_serial(self) -> str: ...
    @property
    def wall_s(self) -> float: ...


def simulated_world(
    recipe: Recipe, *, seed: int, scenario: str | None, scenario_file: str, at: str, begins_s: float = 0.0
) -> SimulatedWorld:
    """Make the simulated world around the station `at`.

    Args:
        begins_s: wall time since the simulation's first day began.

    Raises:
        Refused: no such world is installed.
        ScenarioError: the world does not understand the scenario.
    """
    make = _factory("sim")
    world: SimulatedWorld = make(
        recipe, seed=seed, scenario=scenario, scenario_file=scenario_file, at=at, begins_s=begins_s
    )
    return world


def open_world(
    name: str,
    recipe: Recipe,
    *,
    seed: int,
    scenario: str | None,
    scenario_file: str = "",
    station: Path | None = None,
) -> World:
    """Make the world `name` around a station testing packs of `recipe`.

    Args:
        seed: everything drawn in the world derives from it.
        scenario: TOML text that only the world understands; None for a good pack and a good station.
        scenario_file: its name, for messages.
        station: the station file, of a world that has ports.

    Raises:
        Refused: no such world is installed, or it takes no station file.
        ScenarioError: the world does not understand the scenario, or cannot be disturbed.
        StationFileError: the station file is wrong, or missing where the world needs one.
    """
    make = _factory(name)
    world: World = make(recipe, seed=seed, scenario=scenario, scenario_file=scenario_file, station=station)
    return world


def defect_cases(name: str, recipe: Recipe, station: str = EOL) -> list[DefectCase]:
    """The defect table of a simulated world, for packs of a recipe at a station.

    Raises:
        Refused: no such world is installed.
    """
    cases: list[DefectCase] = _factory(name).defect_cases(recipe, station)
    return cases


def fault_cases(name: str, recipe: Recipe, station: str = EOL) -> list[FaultCase]:
    """The fault table of a simulated world, for packs of a recipe at a station.

    Raises:
        Refused: no such world is installed.
    """
    cases: list[FaultCase] = _factory(name).fault_cases(recipe, station)
    return cases


def _factory(name: str) -> Any:
    found = entry_points(group="bmsctl.worlds", name=name)
    if not found:
        known = ", ".join(sorted(entry_points(group="bmsctl.worlds").names))
        raise Refused(f"no world named {name!r} is installed; installed: {known}")
    return next(iter(found)).load()
