"""Who and what brings data to the station: scanner, operator, label printer, manufacturing execution system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bmsctl.domain.lease import Lease
from bmsctl.domain.units import Second, Volt


class Scanner(Protocol):
    """Data-matrix scanner at the station's entry."""

    async def scan(self, lease: Lease, within: Second) -> str:
        """The content of the next label read."""
        ...


class Operator(Protocol):
    """The person at the station: a screen, a terminal, or simulated."""

    async def confirm(self, lease: Lease, instruction: str, within: Second) -> None:
        """Show one instruction and return when the person has confirmed that it is done.

        Raises:
            DeviceTimeout: nobody confirmed in time.
            DeviceRefused: the person says that it cannot be done.
        """
        ...


class LabelPrinter(Protocol):
    """Prints the pack's label."""

    async def print(self, lease: Lease, serial: str, part_number: str, lines: Sequence[str]) -> None:
        """Print one label: part number and serial as data matrix and as text, and further lines of text.

        Raises:
            DeviceRefused: out of paper or ribbon, or head open; the text says which.
        """
        ...


@dataclass(frozen=True, slots=True)
class IncomingModule:
    """What is known of a module in a slot (from 1, at the negative pole) since it came in.

    `cell_voltage_v`: rest voltage of each cell group from the module's negative pole, measured `age` ago.
    """

    slot: int
    part_number: str
    serial: str
    lot: str
    age: Second
    cell_voltage_v: tuple[Volt, ...]


class Genealogy(Protocol):
    """Which parts are in a pack, and their incoming data."""

    async def modules(self, pack_serial: str, within: Second) -> Sequence[IncomingModule]:
        """Modules of a pack, by slot; empty if none are known.

        Raises:
            DeviceTimeout: no answer in time.
        """
        ...
