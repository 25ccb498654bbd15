"""The world of real devices: a station behind the ports that its station file names."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bmsctl.compose.seed_keys import seed_key
from bmsctl.compose.station_file import read_station
from bmsctl.compose.wired import WiredSite, WiredWorld, open_site
from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import IncomingModule
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, ScenarioError, StationFileError


class NoScreen:
    """Stands where no operator's screen is connected, and confirms nothing; implements Operator."""

    async def confirm(self, lease: Lease, instruction: str, within: Second) -> None:
        raise DeviceRefused("operator", f"{instruction!r} cannot be confirmed: no screen is connected to this station")


class NoMes:
    """Stands where no manufacturing execution system is connected, and knows no pack; implements Genealogy."""

    async def modules(self, pack_serial: str, within: Second) -> Sequence[IncomingModule]:
        raise DeviceRefused("genealogy", f"the modules of {pack_serial} are not known: no MES is connected")


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
            return open_site(wiring, operator=NoScreen(), genealogy=NoMes(), seed_key=key)

        super().__init__("hardware", False, site)
