"""Who and what brings data to the station: scanner, operator, label printer, manufacturing execution system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bmsctl.domain.lease import Lease
from bmsctl.domain.units import Ohm, Second, Volt


class Scanner(Protocol):
    """Data-matrix scanner at the station's entry."""

    async def scan(self, lease: Lease, within: Second) -> str:
        """The content of the next label read."""
        ...


class ManualTask(StrEnum):
    """What the person at a station is asked to do."""

    DOCK = "dock"
    LOAD = "load"
    FETCH = "fetch"
    PROBE = "probe"
    PLACE = "place"
    TIGHTEN = "tighten"
    LOOSEN = "loosen"
    REMOVE = "remove"
    CONNECT = "connect"
    OPEN = "open"
    CLOSE = "close"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One thing to do.

    `part`: what it is done to, a slot (see `domain.parts`), a joint or a connector; empty: the pack. `text` says it in
    words; `detail` is what else the person needs: the serial to fetch, the orientation.
    """

    task: ManualTask
    part: str
    text: str
    detail: str = ""


class Operator(Protocol):
    """The person at the station: a screen, a terminal, or simulated."""

    async def confirm(self, lease: Lease, instruction: Instruction, within: Second) -> None:
        """Show one instruction and return when the person has confirmed that it is done.

        Raises:
            DeviceTimeout: nobody confirmed in time.
            DeviceRefused: the person says that it cannot be done.
        """
        ...

    async def show(self, lease: Lease, instruction: Instruction) -> None:
        """Show one instruction that a device, not the person, will report as done."""
        ...

    async def scan(self, lease: Lease, instruction: Instruction, within: Second) -> str:
        """Show an instruction; what the person then scans by hand, or types.

        Raises:
            DeviceTimeout: nothing came in time.
        """
        ...

    async def qualified(self, lease: Lease, qualification: str, within: Second) -> str:
        """Who is at the station, entitled today to work that needs the qualification.

        Raises:
            DeviceTimeout: nobody said who they are in time.
            DeviceRefused: the person has no such qualification, or no longer.
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


@dataclass(frozen=True, slots=True)
class ModuleData:
    """What is on record of a module that came in.

    `cell_voltage_v`: rest voltage of each cell group from the module's negative pole at incoming inspection, `age` ago.
    `lot_ocv` and `lot_acir` are medians over the modules of its lot, per cell group and of the whole module, both at
    25 °C and as they are to be today.
    """

    serial: str
    part_number: str
    lot: str
    age: Second
    cell_voltage_v: tuple[Volt, ...]
    lot_ocv: Volt
    lot_acir: Ohm


class Parts(Protocol):
    """What the plant knows of parts: supplier's and incoming data, and where each is."""

    async def buffer(self, pack_part_number: str, within: Second) -> Sequence[ModuleData]:
        """Modules that wait for packs of a part number, the oldest first.

        Raises:
            DeviceTimeout: no answer in time.
        """
        ...

    async def module(self, serial: str, within: Second) -> ModuleData | None:
        """What is known of a module; None if nothing is. Raises DeviceTimeout."""
        ...

    async def pack_of(self, serial: str, within: Second) -> str | None:
        """The pack that a part is, or has been, in; None if in none. Raises DeviceTimeout."""
        ...


class Genealogy(Protocol):
    """Which parts are in a pack, and their incoming data; and which stations have released it."""

    async def released(self, pack_serial: str, station: str, within: Second) -> str | None:
        """Why a station has not released a pack, for people; None if it has.

        Raises:
            DeviceTimeout: no answer in time.
        """
        ...

    async def modules(self, pack_serial: str, within: Second) -> Sequence[IncomingModule]:
        """Modules of a pack, by slot; empty if none are known.

        Raises:
            DeviceTimeout: no answer in time.
        """
        ...


class Mes(Genealogy, Parts, Protocol):
    """The manufacturing execution system: all that the plant knows beside the station."""
