"""The worlds that contracts are kept in, and what a test may do to the far end of a wire in any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.recipe import Recipe
from bmsctl.drivers.links.threads import beside
from firmware_stubs.disturbances import Disturbances
from firmware_stubs.faults import FAULTS
from firmware_stubs.ports import STACKING_SERIAL
from firmware_stubs.world import SimSite, SimWorld
from hil.control import Control
from hil.layout import Layout
from hil.stubs.ptys import Pty
from hil.world import HilWorld
from tests.contract.lines import LineWorld
from tests.contract.stacking import Hands, Stacking
from tests.contract.station import AnyStation, Station

RECIPE: Recipe = RecipeBook(None).by_pack("AS52")
SEED = 11
ATTEMPTS = 5
"""So often a contract is tried that fails while the machine stalls a process of its world."""
STALL_S = 0.02
"""So short a stall may be why: two periods of the BMS's fastest frame, whose counter then seems to jump."""

Contract = Callable[[AnyStation], Awaitable[None]]


class ContractWorld(Protocol):
    """One world with devices at the far end of its wires."""

    def run(self, contract: Contract, *, scenario: str | None, on_stall: Callable[[str], None]) -> list[str]:
        """Run a contract on this world's own loop, with a pack of RECIPE mounted; what its observers found wrong.

        Args:
            scenario: what is wrong with the pack, as a scenario file.
            on_stall: called each time that the contract is tried again, with what the machine stalled.
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

    def run(self, contract: Contract, *, scenario: str | None, on_stall: Callable[[str], None]) -> list[str]:
        world = SimWorld(RECIPE, seed=SEED, scenario=scenario, scenario_file="contract")

        async def main(site: Any) -> None:
            await contract(Station(site, SimFarEnd(site), RECIPE))

        world.run(main)
        return world.findings()


class BenchFarEnd:
    """The devices of a bench, in a process of their own; implements `station.FarEnd`.

    Each call waits for the bench beside the loop, which must not be what stalls the station.
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    async def disturb(self, fault: str, device: str, on: bool) -> None:
        await beside(partial(self._control.ask, "disturb", fault=fault, device=device, on=on))

    async def reset_plc(self) -> None:
        await beside(partial(self._control.ask, "reset_plc"))


class StackingInMemory:
    """The stacking station's stubs on wires in memory, on virtual time; implements ContractWorld."""

    def run(self, contract: Contract, *, scenario: str | None, on_stall: Callable[[str], None]) -> list[str]:
        world = SimWorld(RECIPE, seed=SEED, scenario=scenario, scenario_file="contract", at="stacking")
        world.run(_stacking(contract))
        return world.findings()


class RealTimeWorld(Protocol):
    """What a world in real time is to contracts. `stalls`: of its processes after a run, by name."""

    stalls: dict[str, float]

    def findings(self) -> list[str]:
        """What an observer found wrong."""
        ...


class InRealTime(ABC):
    """Tries a contract again that fails while the machine stalls a process of its world; implements ContractWorld."""

    def run(self, contract: Contract, *, scenario: str | None, on_stall: Callable[[str], None]) -> list[str]:
        for _ in range(ATTEMPTS - 1):
            world = self._world(scenario)
            try:
                findings = self._run(world, contract)
            except Exception:
                if not _stalls(world):
                    raise
            else:
                if not findings or not _stalls(world):
                    return findings
            on_stall(_stalls(world))
        return self._run(self._world(scenario), contract)

    @abstractmethod
    def _world(self, scenario: str | None) -> Any:
        """A world that has not run."""

    @abstractmethod
    def _run(self, world: Any, contract: Contract) -> list[str]:
        """Run a contract in it; what was found wrong."""


class OnBench(InRealTime):
    """Stubs behind real wires, in a process of their own."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def _world(self, scenario: str | None) -> HilWorld:
        folder = self._layout.folder
        return HilWorld(RECIPE, seed=SEED, scenario=scenario, scenario_file="contract", folder=folder)

    def _run(self, world: HilWorld, contract: Contract) -> list[str]:
        async def main(site: Any) -> None:
            with Control(self._layout.control) as control:
                await contract(Station(site, BenchFarEnd(control), RECIPE))

        world.run(main)
        return world.findings()


class OnLines(InRealTime):
    """The stacking station's stubs on real serial lines."""

    def __init__(self, folder: Path, over_tcp: frozenset[str] = frozenset()) -> None:
        """`folder`: for the ports, which are there until `close`; `over_tcp`: devices that are behind TCP."""
        self._folder = folder
        self._over_tcp = over_tcp
        self._ptys = {device: Pty(folder / device) for device in STACKING_SERIAL}

    def close(self) -> None:
        """Let the ports vanish."""
        for pty in self._ptys.values():
            pty.unplug()

    def _world(self, scenario: str | None) -> LineWorld:
        return LineWorld(
            RECIPE,
            seed=SEED,
            scenario=scenario,
            ptys=self._ptys,
            over_tcp=self._over_tcp,
            tokens=self._folder / "run_tokens",
        )

    def _run(self, world: LineWorld, contract: Contract) -> list[str]:
        world.run(_stacking(contract))
        return world.findings()


def _stacking(contract: Contract) -> Callable[[Any], Awaitable[None]]:
    """A contract at a stacking station whose far end is in this process."""

    async def main(site: Any) -> None:
        await contract(Stacking(site, Hands(site.wiring, SEED), RECIPE))

    return main


def _stalls(world: RealTimeWorld) -> str:
    """The processes that were stalled, in words; empty if none was."""
    return ", ".join(f"{process} {stall_s:.2f} s" for process, stall_s in world.stalls.items() if stall_s > STALL_S)
