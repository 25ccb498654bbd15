"""The station file: which device of one real station is on which port, as TOML.

See `recipes/stations/` for one of each kind. Every instrument is named with its serial number, because two of one
maker look alike on a line and a USB adapter may change its name. Findings are collected, so that one run tells all.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmsctl.domain.recipe import EOL, STACKING
from bmsctl.domain.recipe_locator import Path as Key
from bmsctl.domain.recipe_locator import locate
from bmsctl.errors import StationFileError
from bmsctl.stations.eol import devices as eol
from bmsctl.stations.stacking import devices as stacking

BYTES_MAX = 64 * 1024

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SERIAL_NUMBER = re.compile(r"[^\s,;]{1,64}")


@dataclass(frozen=True, slots=True)
class Kind:
    """What belongs to a kind of station; `instruments` are named with their serial numbers."""

    can: tuple[str, ...]
    instruments: tuple[str, ...]

    @property
    def serial(self) -> tuple[str, ...]:
        """The devices on serial lines."""
        return (*self.instruments, "scanner", "label_printer")


KINDS: Mapping[str, Kind] = {
    STACKING: Kind(("bms", "plc"), stacking.INSTRUMENTS),
    EOL: Kind(("bms", "plc", "matrix"), eol.INSTRUMENTS),
}


@dataclass(frozen=True, slots=True)
class CanPort:
    """One CAN adapter: a python-can interface as a URL, and the devices on its bus."""

    name: str
    url: str
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SerialPort:
    """One serial line: a path or pyserial URL, its speed, and the serial number of the instrument on it."""

    device: str
    port: str
    baud: int
    serial_number: str | None


@dataclass(frozen=True)
class StationFile:
    """One station's wiring; serial ports by device. `seed_key` names the BMS's key algorithm."""

    name: str
    kind: str
    can: tuple[CanPort, ...]
    serial: Mapping[str, SerialPort]
    seed_key: str

    @property
    def serial_numbers(self) -> Mapping[str, str]:
        """Those expected of the instruments."""
        return {device: port.serial_number for device, port in self.serial.items() if port.serial_number is not None}


def read_station(path: Path) -> StationFile:
    """The station file at `path`.

    Raises:
        StationFileError: it cannot be read, or says something wrong; with all findings.
    """
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            raise ValueError(f"more than {BYTES_MAX // 1024} KiB")
        text = data.decode("utf-8").replace("\r\n", "\n")
        tables = tomllib.loads(text)
    except OSError as error:
        why = error.strerror or str(error)
        raise StationFileError([f"{path}:1: file: cannot be read ({why}); name an existing station file"]) from None
    except RecursionError:
        raise StationFileError([f"{path}:1: file: nested too deeply; tables in tables are enough"]) from None
    except ValueError as error:
        found = re.search(r"line (\d+)", str(error))
        line = found[1] if found else 1
        raise StationFileError([f"{path}:{line}: file: not TOML in UTF-8: {error}; correct it"]) from None
    return _Reader(path, locate(text)).read(tables)


class _Reader:
    """Checks one document; `_findings` accumulate."""

    def __init__(self, path: Path, lines: Mapping[Key, int]) -> None:
        self._path = path
        self._lines = lines
        self._findings: list[str] = []

    def read(self, tables: Mapping[str, Any]) -> StationFile:
        root = self._table(tables, (), ("station", "can", "serial", "bms"))
        station = self._table(root.get("station"), ("station",), ("name", "kind"))
        name = self._text(station, ("station", "name"), _NAME, "letters, digits, - and _")
        kind = self._choice(station, ("station", "kind"), tuple(KINDS))
        devices = KINDS.get(kind, KINDS[EOL])
        can = tuple(self._can(root.get("can"), devices.can))
        serial = self._table(root.get("serial"), ("serial",), devices.serial)
        bound = devices.instruments
        lines = {each: self._serial(each, serial.get(each), each in bound) for each in devices.serial}
        self._shared_ports(lines)
        bms = self._table(root.get("bms"), ("bms",), ("seed_key",))
        seed_key = self._text(bms, ("bms", "seed_key"), _NAME, "letters, digits, - and _")
        if self._findings:
            raise StationFileError(self._findings)
        return StationFile(name, kind, can, lines, seed_key)

    def _can(self, value: Any, known: tuple[str, ...]) -> Iterator[CanPort]:
        buses = self._table(value, ("can",), None)
        placed: dict[str, str] = {}
        for bus, entry in buses.items():
            here: Key = ("can", bus)
            entries = self._table(entry, here, ("url", "devices"))
            url = self._text(
                entries, (*here, "url"), re.compile(r"[a-z_]+://\S*"), "like socketcan://can0?bitrate=500000"
            )
            devices = entries.get("devices")
            if not isinstance(devices, list) or not devices or not all(device in known for device in devices):
                self._find((*here, "devices"), f"must be a list of some of {', '.join(known)}; correct it")
                continue
            for device in devices:
                if device in placed:
                    self._find((*here, "devices"), f"{device} is on can.{placed[device]} already; name it once")
                placed[device] = bus
            yield CanPort(bus, url, tuple(devices))
        for device in (device for device in known if device not in placed):
            self._find(("can",), f'no bus for {device}; add "{device}" to the devices of one')

    def _serial(self, device: str, value: Any, bound: bool) -> SerialPort:
        """`bound`: by its serial number."""
        here: Key = ("serial", device)
        keys = ("port", "baud", "serial_number") if bound else ("port", "baud")
        entries = self._table(value, here, keys)
        if not entries:
            return SerialPort(device, "", 0, None)
        port = self._text(entries, (*here, "port"), re.compile(r"/\S+|[a-z0-9]+://\S+"), "like /dev/serial/by-id/…")
        baud = entries.get("baud")
        if isinstance(baud, bool) or not isinstance(baud, int) or baud <= 0:
            self._find((*here, "baud"), "must be a whole number of bits per second; write baud = 115200")
            baud = 0
        number = None
        if bound:
            number = self._text(entries, (*here, "serial_number"), _SERIAL_NUMBER, "one word, as on its type plate")
        return SerialPort(device, port, baud, number)

    def _shared_ports(self, lines: Mapping[str, SerialPort]) -> None:
        by_port: dict[str, str] = {}
        for device, line in lines.items():
            if line.port and line.port in by_port:
                self._find(("serial", device, "port"), f"{by_port[line.port]} is on it already; give each its own")
            by_port.setdefault(line.port, device)

    def _table(self, value: Any, here: Key, known: tuple[str, ...] | None) -> Mapping[str, Any]:
        """The entries of a table whose keys are known; `known` None: all."""
        if not isinstance(value, dict):
            header = f"[{'.'.join(map(str, here))}]"
            self._find(here, f"is missing; add {header}" if value is None else f"must be a table; write {header}")
            return {}
        for key in (key for key in value if known is not None and key not in known):
            near = difflib.get_close_matches(key, known or (), 1)
            remedy = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(known or ())}"
            self._find((*here, key), f"unknown key; {remedy}")
        return {key: item for key, item in value.items() if known is None or key in known}

    def _text(self, table: Mapping[str, Any], here: Key, pattern: re.Pattern[str], example: str) -> str:
        value = table.get(str(here[-1]))
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        self._find(here, f"{'is missing' if value is None else repr(value) + ' is not possible'}; write {example}")
        return ""

    def _choice(self, table: Mapping[str, Any], here: Key, known: tuple[str, ...]) -> str:
        value = table.get(str(here[-1]))
        if value in known:
            return str(value)
        self._find(here, f"must be one of {', '.join(known)}; correct it")
        return ""

    def _find(self, here: Key, what: str) -> None:
        line = next((self._lines[here[:size]] for size in range(len(here), 0, -1) if here[:size] in self._lines), 1)
        self._findings.append(f"{self._path}:{line}: {'.'.join(map(str, here)) or 'file'}: {what}")
