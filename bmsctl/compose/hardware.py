"""The world of real devices: a station behind the ports that its station file names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bmsctl.compose.seed_keys import seed_key
from bmsctl.compose.station_file import read_station
from bmsctl.compose.wired import WiredSite, WiredWorld, open_site
from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import IncomingModule, Instruction, ModuleData, Operator
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.units import Second
from bmsctl.drivers.terminal_operator import TerminalOperator
from bmsctl.errors import DeviceRefused, ScenarioError, StationFileError

NO_MES = "no MES is connected"


class NoScreen:
    """Stands where no operator's screen is connected, and confirms nothing; implements Operator."""

    async def confirm(self, lease: Lease, instruction: Instruction, within: Second) -> None:
        raise self._refusal(f"{instruction.text!r} cannot be confirmed")

    async def show(self, lease: Lease, instruction: Instruction) -> None:
        raise self._refusal(f"{instruction.text!r} cannot be shown")

    async def scan(self, lease: Lease, instruction: Instruction, within: Second) -> str:
        raise self._refusal(f"{instruction.text!r} cannot be answered")

    async def qualified(self, lease: Lease, qualification: str, within: Second) -> str:
        raise self._refusal(f"nobody can show a qualification for {qualification}")

    @staticmethod
    def _refusal(what: str) -> DeviceRefused:
        return DeviceRefused("operator", f"{what}: no screen is connected to this station")


class NoMes:
    """Stands where no manufacturing execution system is connected, and knows nothing; implements Mes."""

    async def released(self, pack_serial: str, station: str, within: Second) -> str | None:
        raise DeviceRefused("genealogy", f"whether {station} has released {pack_serial} is not known: {NO_MES}")

    async def buffer(self, pack_part_number: str, within: Second) -> Sequence[ModuleData]:
        raise DeviceRefused("parts", f"modules for {pack_part_number} are not known: {NO_MES}")

    async def module(self, serial: str, within: Second) -> ModuleData | None:
        raise DeviceRefused("parts", f"module {serial} is not known: {NO_MES}")

    async def pack_of(self, serial: str, within: Second) -> str | None:
        raise DeviceRefused("parts", f"where {serial} is, is not known: {NO_MES}")

    async def modules(self, pack_serial: str, within: Second) -> Sequence[IncomingModule]:
        raise DeviceRefused("genealogy", f"the modules of {pack_serial} are not known: {NO_MES}")


class HardwareWorld(WiredWorld):
    """A real station; implements World."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        seed: int,
        scenario: str | None,
        scenario_file: str = "",
        station: Path | None = None,
    ) -> None:
        """`recipe` and `seed` change nothing in a real world.

        Raises:
            ScenarioError: a scenario is given.
            StationFileError: the station file is missing or wrong.
            Refused: its seed key is not installed.
        """
        if scenario is not None:
            raise ScenarioError(f"{scenario_file}: a real station plays no scenario; use the sim or the hil world")
        if station is None:
            raise StationFileError(["no station file is given; say which device is on which port (--station FILE)"])
        wiring = read_station(station)
        key = seed_key(wiring.seed_key)

        def site() -> AbstractContextManager[WiredSite]:
            return open_site(wiring, operator=_operator(), mes=NoMes(), seed_key=key)

        super().__init__("hardware", False, site)


def _operator() -> Operator:
    """The person at the terminal that this program was started at; nobody, if it was not started at one."""
    if sys.stdin is None or not sys.stdin.isatty():
        return NoScreen()
    return TerminalOperator(sys.stdin.fileno(), _say)


def _say(text: str) -> None:
    """Talk goes to stderr, whoever has taken it over to draw a bar under it."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
