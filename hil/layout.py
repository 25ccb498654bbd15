"""Where a bench has its things: one folder with sockets, ports and the station file that fits them.

FOLDER/control        control channel of the stubs
FOLDER/station.toml   which device is on which port, for whoever drives a station
FOLDER/<bus>.can      the hub's sockets, if the buses are the bench's own
FOLDER/<device>       serial ports, links to pseudo-terminals
"""

from __future__ import annotations

import enum
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bmsctl.domain.recipe import EOL
from firmware_stubs import cycler, digitizer, insulation_tester, lv_supply, ohmmeter, withstand_tester
from firmware_stubs.ports import BUS_OF, EOL_SERIAL
from hil.bench_file import BAUD, BUSES, BenchFile, RealLine

FOLDER_VARIABLE = "BMSCTL_BENCH"
CONTROL, STATION_FILE = "control", "station.toml"
STATION_NODE = "station"
"""The station's name on a bench bus."""
SEED_KEY = "demo"
"""The key algorithm of the BMS stub, by its registered name."""


_SCPI_STUBS = {
    "lv_supply": lv_supply,
    "ohmmeter": ohmmeter,
    "insulation_tester": insulation_tester,
    "withstand_tester": withstand_tester,
    "cycler": cycler,
}
SERIAL_NUMBERS: Mapping[str, str] = {
    "digitizer": digitizer.SERIAL,
    **{device: stub.IDENTITY.split(",")[2].strip() for device, stub in _SCPI_STUBS.items()},
}
"""What the stubs of the instruments say that their serial numbers are."""


class CanKind(enum.StrEnum):
    """What the buses of a bench are made of."""

    VCAN = "vcan"
    BENCH = "bench"


VCAN = dict(zip(BUSES, ("vcan0", "vcan1"), strict=True))
"""Kernel interfaces of the buses."""


class Wire(NamedTuple):
    """One line of the wiring: where a station finds a device, and whether it is a stub."""

    device: str
    wire: str
    where: str
    stub: bool


def default_folder() -> Path:
    """The folder of the bench of this user."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    own = os.environ.get("XDG_RUNTIME_DIR")
    return Path(own) / "bmsctl-bench" if own else Path(tempfile.gettempdir()) / f"bmsctl-bench-{os.getuid()}"


@dataclass(frozen=True)
class Layout:
    """One bench: its folder, what is real on it, and what its buses are made of."""

    folder: Path
    file: BenchFile
    kind: CanKind

    @property
    def control(self) -> Path:
        """The control channel's socket."""
        return self.folder / CONTROL

    @property
    def station_file(self) -> Path:
        """The station file."""
        return self.folder / STATION_FILE

    @property
    def stub_buses(self) -> tuple[str, ...]:
        """Buses with stubs on them."""
        return tuple(bus for bus in BUSES if bus not in self.file.can)

    @property
    def stub_instruments(self) -> tuple[str, ...]:
        """Instruments that are stubs."""
        return tuple(device for device in EOL_SERIAL if device not in self.file.serial)

    def channel(self, bus: str) -> Path:
        """The hub's socket of a bus."""
        return self.folder / f"{bus}.can"

    def url(self, bus: str, node: str = STATION_NODE) -> str:
        """The bus as `node` opens it."""
        if bus in self.file.can:
            return self.file.can[bus]
        if self.kind is CanKind.VCAN:
            return f"socketcan://{VCAN[bus]}?fd=true"
        return f"bench://{self.channel(bus)}?name={node}&fd=true"

    def port(self, device: str) -> Path:
        """The link that stands for a stub's serial port."""
        return self.folder / device

    def wiring(self) -> list[Wire]:
        """Every device, buses first."""
        buses = [
            Wire(device, f"CAN {bus}", self.url(bus), stub=bus not in self.file.can) for device, bus in BUS_OF.items()
        ]
        lines = []
        for device in EOL_SERIAL:
            real = self.file.serial.get(device)
            where = str(self.port(device)) if real is None else real.port
            lines.append(Wire(device, "serial", where, stub=real is None))
        return buses + lines

    def station_text(self) -> str:
        """The station file's content."""
        tables = [f'[station]\nname = "bench"\nkind = "{EOL}"\n']
        for bus in BUSES:
            devices = ", ".join(f'"{device}"' for device, on in BUS_OF.items() if on == bus)
            tables.append(f'[can.{bus}]\nurl = "{self.url(bus)}"\ndevices = [{devices}]\n')
        for device in EOL_SERIAL:
            line = self.file.serial.get(device) or RealLine(str(self.port(device)), BAUD, SERIAL_NUMBERS.get(device))
            number = "" if line.serial_number is None else f'serial_number = "{line.serial_number}"\n'
            tables.append(f'[serial.{device}]\nport = "{line.port}"\nbaud = {line.baud}\n{number}')
        tables.append(f'[bms]\nseed_key = "{SEED_KEY}"\n')
        return "\n".join(tables)
