"""The HV matrix and its routes."""

from __future__ import annotations

import enum
from collections.abc import Set
from typing import Protocol

from bmsctl.domain.lease import Lease
from bmsctl.domain.units import Second


class Route(enum.StrEnum):
    """What the matrix can connect to the pack's outer poles.

    A tester's output goes to the poles by TESTER_PLUS, TESTER_MINUS or both; its return is the chassis.
    """

    DIGITIZER = "digitizer"
    LOAD = "load"
    LINK_CAPACITOR = "link_capacitor"
    INSULATION_TESTER = "insulation_tester"
    WITHSTAND_TESTER = "withstand_tester"
    CYCLER = "cycler"
    TESTER_PLUS = "tester_plus"
    TESTER_MINUS = "tester_minus"


class Matrix(Protocol):
    """HV matrix. Routes exclude each other in hardware; the device refuses an illegal set."""

    async def connect(self, lease: Lease, routes: Set[Route]) -> None:
        """Exactly these routes closed, confirmed by feedback.

        Raises:
            DeviceRefused: the set is not legal, a route is under voltage (hot switching forbidden), or a
                relay's feedback disagrees.
        """
        ...

    def open_all(self) -> None:
        """Ask for every route open."""
        ...

    async def await_routes(self, routes: Set[Route], within: Second) -> None:
        """Return when the feedback shows exactly `routes`."""
        ...
