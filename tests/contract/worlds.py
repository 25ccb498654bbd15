"""The worlds that contracts are kept in, and what a test may do to the far end of a wire in any of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import pytest

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.recipe import Recipe
from firmware_stubs.disturbances import Disturbances
from firmware_stubs.faults import FAULTS
from firmware_stubs.world import SimSite, SimWorld
from hil.control import Control
from hil.layout import CanKind, Layout
from hil.world import HilWorld
from tests.contract.station import Station

RECIPE: Recipe = RecipeBook(None).by_pack("AS52")
SEED = 11
ATTEMPTS = 3
"""So often a contract is tried that fails while the machine stalled a process."""

Contract = Callable[[Station], Awaitable[None]]


class ContractWorld(Protocol):
    """One world with devices at the far end of its wires."""

    def run(self, contract: Contract, *, scenario: str | None) -> list[str]:
        """Run a contract on this world's own loop, with a pack of RECIPE mounted; what its observers found wrong.

        `scenario`: what is wrong with the pack, as a scenario file.
        """
        ...


class SimFarEnd:
    """The devices in this process; implements `station.FarEnd`."""

    def __init__(self, site: SimSite) -> None:
        self._wiring = site.wiring
        self._disturbances = Disturbances(site.wiring, SEED)

    async def disturb(self, fault: str, device: str, on: bool) -> None:
        FAULTS[fault].act(self._disturbances, device, on)

    async def reset_plc(self) -> None:
        self._wiring.plc.reset()


class InMemory:
    """Stubs on wires in memory, on virtual time; implements ContractWorld."""

    def run(self, contract: Contract, *, scenario: str | None) -> list[str]:
        world = SimWorld(RECIPE, seed=SEED, scenario=scenario, scenario_file="contract")

        async def main(site: Any) -> None:
            await contract(Station(site, SimFarEnd(site), RECIPE))

        world.run(main)
        return world.findings()


class BenchFarEnd:
    """The devices of a bench, in a process of their own; implements `station.FarEnd`. Each call waits for the bench."""

    def __init__(self, control: Control, kind: CanKind) -> None:
        self._control = control
        self._kind = kind

    async def disturb(self, fault: str, device: str, on: bool) -> None:
        if fault == "can.bus_off" and self._kind is not CanKind.BENCH:
            pytest.skip(f"{self._kind} cannot go bus-off")
        self._control.ask("disturb", fault=fault, device=device, on=on)

    async def reset_plc(self) -> None:
        self._control.ask("reset_plc")


class OnBench:
    """Stubs behind real wires, in real time; implements ContractWorld."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def run(self, contract: Contract, *, scenario: str | None) -> list[str]:
        """As ContractWorld; what fails while the machine stalled a process is tried again."""
        for _ in range(ATTEMPTS - 1):
            world = self._world(scenario)
            try:
                return self._run(world, contract)
            except Exception:
                if world.contention is None:
                    raise
        return self._run(self._world(scenario), contract)

    def _world(self, scenario: str | None) -> HilWorld:
        folder = self._layout.folder
        return HilWorld(RECIPE, seed=SEED, scenario=scenario, scenario_file="contract", folder=folder)

    def _run(self, world: HilWorld, contract: Contract) -> list[str]:
        async def main(site: Any) -> None:
            with Control(self._layout.control) as control:
                await contract(Station(site, BenchFarEnd(control, self._layout.kind), RECIPE))

        world.run(main)
        return world.findings()
