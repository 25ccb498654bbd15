"""One pack on the bench: its plant, the stubs around it, what goes wrong, and the observer that judges."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from bmsctl.domain.recipe import EOL, Recipe
from bmsctl.errors import ScenarioError
from firmware_stubs.defects import condition_of
from firmware_stubs.disturbances import Disturbances
from firmware_stubs.eol_wiring import EolWiring
from firmware_stubs.faults import FAULT_NAMES, FAULTS, FaultInjector
from firmware_stubs.plc import PlcStub
from firmware_stubs.scenario import Fault, Scenario
from firmware_stubs.world import eol_scenario
from hil.layout import CanKind, Layout
from hil.stall import StallWatch
from hil.stubs.far_end import RealWires

SAFE_AFTER_S = 6.5
"""A station that has gone leaves the pack to the safety PLC: 0.3 s to the trip, 5 s to discharge, and room."""


def possible(scenario: Scenario, layout: Layout) -> None:
    """Refuse faults that this bench cannot produce.

    Raises:
        ScenarioError: a fault of a real device, or one that needs the bench's own bus.
    """
    for fault in scenario.faults:
        why = _impossible(fault.kind, _target(fault), layout)
        if why is not None:
            raise ScenarioError(f"{fault.place}: {why}")


def _impossible(kind: str, target: str | None, layout: Layout) -> str | None:
    """Why this bench cannot produce a fault, None if it can."""
    if target in layout.file.real_devices:
        return f"{target} is a real device on this bench; disturb a stub"
    if kind == "can.bus_off" and layout.kind is not CanKind.BENCH:
        return f"{layout.kind} cannot go bus-off; start the bench with --can bench"
    return None


class MountedPack:
    """Build it inside the loop that drives the stubs."""

    def __init__(self, order: Mapping[str, Any], layout: Layout, wires: RealWires) -> None:
        """`order`: a `mount` request.

        Raises:
            ScenarioError: the scenario is not understood, or not possible on this bench.
            ValueError, LookupError: not a recipe.
        """
        recipe = Recipe.from_json(order["recipe"])
        seed = int(order["seed"])
        scenario = eol_scenario(order["scenario"], order["scenario_file"])
        possible(scenario, layout)
        self._loop = asyncio.get_running_loop()
        self._errors: list[str] = []
        self._loop.set_exception_handler(self._note_error)
        self._layout = layout
        self._wiring = EolWiring(recipe, condition_of(scenario.defects, recipe), seed, wires)
        self._disturbances = Disturbances(self._wiring, seed)
        self._injector = FaultInjector(scenario.faults, self._disturbances)
        self._wiring.on_talk = self._injector.talked_to
        self._stalls = StallWatch()

    def facts(self) -> dict[str, Any]:
        """What the world around the station knows of the pack."""
        return {
            "pack_serial": self._wiring.serial,
            "module_part_number": self._wiring.module_part_number,
            "incoming": [list(module) for module in self._wiring.plant.incoming_modules()],
        }

    def step_started(self, step: str) -> None:
        """Arm the faults of a step."""
        self._injector.step_started(step)

    def disturb(self, fault: str, device: str, on: bool) -> None:
        """Begin or end a fault at once.

        Raises:
            ScenarioError: no such fault, not of this device, or not possible on this bench.
        """
        name = FAULT_NAMES.get(fault)
        if name is None or device not in FAULTS[name].at(EOL):
            raise ScenarioError(f"{fault!r} is no fault of {device!r}; `python -m hil campaign --list` tells which are")
        why = _impossible(name, device, self._layout)
        if why is not None:
            raise ScenarioError(why)
        FAULTS[name].act(self._disturbances, device, on)

    @property
    def plc(self) -> PlcStub:
        """The safety PLC, whose buttons and guard a person reaches."""
        return self._wiring.plc

    def finish(self) -> dict[str, Any]:
        """Look a last time; what was found wrong, and how long the stubs' loop was stalled at most."""
        self._stalls.stop()
        return {
            "pack_serial": self._wiring.serial,
            "findings": self._wiring.monitor.finish() + self._errors,
            "stall_s": self._stalls.longest_s,
        }

    async def left_alone(self) -> dict[str, Any]:
        """The station is gone: wait for the safety PLC, then `finish`."""
        await asyncio.sleep(SAFE_AFTER_S)
        return self.finish()

    def _note_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._errors.append(f"error in a callback of a stub: {context.get('exception') or context['message']}")


def _target(fault: Fault) -> str | None:
    """The device a fault is for, None if it is for the first that the step talks to."""
    targets = FAULTS[fault.kind].at(EOL)
    return fault.target or (targets[0] if len(targets) == 1 else None)
