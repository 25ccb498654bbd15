"""The bench file: which stubs are replaced by real devices.

    [can.pack]
    real = "socketcan://can0?bitrate=500000"

    [serial.cycler]
    real = "/dev/serial/by-id/usb-EA_PSB_3100230017-if00"
    baud = 115200
    serial_number = "3100230017"

Tables and keys may be left out: what is not named is a stub.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmsctl.domain.recipe_locator import locate
from bmsctl.errors import BmsctlError
from firmware_stubs.ports import BUS_OF, EOL_SERIAL

BUSES = tuple(dict.fromkeys(BUS_OF.values()))
STANDARD = Path(__file__).with_name("bench.toml")
BAUD = 115_200
"""Of a real device that does not say otherwise; stubs know none."""

_TABLES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "can": (BUSES, ("real",)),
    "serial": (EOL_SERIAL, ("real", "baud", "serial_number")),
}
"""Per kind of wire: its names, and the keys of one."""


class BenchFileError(BmsctlError):
    """A bench file cannot be used. One text per finding, `file:line: key: what; remedy`."""


@dataclass(frozen=True)
class RealLine:
    """A real instrument: where pyserial finds it, its bits per second, and the serial number it must tell."""

    port: str
    baud: int = BAUD
    serial_number: str | None = None


@dataclass(frozen=True)
class BenchFile:
    """Real devices by the name of the bus or instrument whose stubs they replace."""

    can: Mapping[str, str] = field(default_factory=dict)
    serial: Mapping[str, RealLine] = field(default_factory=dict)

    @property
    def real_devices(self) -> tuple[str, ...]:
        """Every device that is no stub."""
        return (*(device for device, bus in BUS_OF.items() if bus in self.can), *self.serial)


def read_bench_file(path: Path) -> BenchFile:
    """Read a bench file.

    Raises:
        BenchFileError: it cannot be read, or has an unknown key or a wrong value; names file, line and key.
    """
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise BenchFileError(f"{path}:1: file: cannot be read: {error}; give a TOML file in UTF-8") from None
    except RecursionError:
        raise BenchFileError(f"{path}:1: file: nested too deeply; a bench is a table for each wire") from None
    findings = list(_findings(document))
    if findings:
        lines = locate(text)
        raise BenchFileError(
            "\n".join(f"{path}:{_line(lines, key)}: {'.'.join(key)}: {what}" for key, what in findings)
        )
    return BenchFile(
        can={bus: table["real"] for bus, table in document.get("can", {}).items() if "real" in table},
        serial={
            device: RealLine(table["real"], table.get("baud", BAUD), table.get("serial_number"))
            for device, table in document.get("serial", {}).items()
            if table
        },
    )


Key = tuple[str, ...]


def _findings(document: Mapping[str, Any]) -> Iterator[tuple[Key, str]]:
    for kind, tables in document.items():
        if kind not in _TABLES:
            yield (kind,), f"unknown; known: {', '.join(_TABLES)}"
            continue
        names, keys = _TABLES[kind]
        if not isinstance(tables, dict):
            yield (kind,), f"no table; write [{kind}.{names[0]}]"
            continue
        for name, table in tables.items():
            if name not in names:
                yield (kind, name), f"unknown; known: {', '.join(names)}"
            elif not isinstance(table, dict):
                yield (kind, name), f"no table; write [{kind}.{name}]"
            else:
                yield from _table_findings((kind, name), table, keys)


def _table_findings(where: Key, table: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[tuple[Key, str]]:
    for key, value in table.items():
        if key not in keys:
            yield (*where, key), f"unknown; known: {', '.join(keys)}"
        elif key == "baud" and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
            yield (*where, key), "must be a whole number of bits per second, like 115200"
        elif key != "baud" and not (isinstance(value, str) and value.strip()):
            yield (*where, key), "must be text in quotes, like the path or serial number of a device"
    if table and "real" not in table:
        yield where, "is a stub; say by real where the device is, or take the other keys out"


def _line(lines: Mapping[tuple[str | int, ...], int], key: Key) -> int:
    """Where the key stands, or the nearest table around it."""
    return next((lines[key[:length]] for length in range(len(key), 0, -1) if key[:length] in lines), 1)
