"""Data identifiers and routines of the battery management system: numbers, and the form of their data."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bmsctl.domain.ports import Relay


class Did(enum.IntEnum):
    """Data identifiers; the text ones first."""

    REVISION = 0xF012
    BOOT_SOFTWARE = 0xF180
    CALIBRATION = 0xF182
    ACTIVE_SESSION = 0xF186
    PART_NUMBER = 0xF187
    ECU_SOFTWARE = 0xF188
    SUPPLIER = 0xF18A
    ECU_SERIAL = 0xF18C
    VIN = 0xF190
    HARDWARE = 0xF191
    SOFTWARE = 0xF194
    SOFTWARE_VERSION = 0xF195
    DIAGNOSTIC_VERSION = 0xF1A0
    PACK_SERIAL = 0x901B
    TRACEABILITY = 0x901C
    FUNCTIONAL_NUMBER = 0x901D
    SOC = 0x9001
    USABLE_SOC = 0x9002
    SOH = 0x9003
    PACK_VOLTAGE = 0x9005
    CELL_VOLTAGE_MAX = 0x9007
    CELL_VOLTAGE_MIN = 0x9009
    TEMPERATURE_MEAN = 0x9012
    TEMPERATURE_MIN = 0x9013
    TEMPERATURE_MAX = 0x9014
    INSULATION = 0x9015
    INTERLOCK = 0x901A
    TEMPERATURE_FIRST = 0x9131
    BALANCING = 0x912B
    BYPASS_MAIN_PLUS = 0x91E9
    DRIVER_MAIN_PLUS = 0x91EA
    BYPASS_MAIN_MINUS = 0x91EB
    DRIVER_MAIN_MINUS = 0x91EC
    BYPASS_PRECHARGE = 0x91ED
    DRIVER_PRECHARGE = 0x91EE
    INSULATION_BYPASS = 0x9201
    DIVIDER_BYPASS = 0x9202
    BUSBAR_FIRST = 0x9221
    CHIPS = 0x9230
    CHARGE = 0x924F
    CURRENT = 0x925D
    OPERATING_STATE = 0x9270
    SLEEP_DELAY = 0x9281


RELAY_BYPASS = {
    Relay.MAIN_PLUS: Did.BYPASS_MAIN_PLUS,
    Relay.MAIN_MINUS: Did.BYPASS_MAIN_MINUS,
    Relay.PRECHARGE: Did.BYPASS_PRECHARGE,
}
"""Where each relay is taken over: 1 obeys the station, 0 the BMS."""

RELAY_DRIVER = {
    Relay.MAIN_PLUS: Did.DRIVER_MAIN_PLUS,
    Relay.MAIN_MINUS: Did.DRIVER_MAIN_MINUS,
    Relay.PRECHARGE: Did.DRIVER_PRECHARGE,
}
"""What each relay's coil is told."""

_PER_PAGE = 0x20
"""Every 32nd identifier is a bitmap of the 32 that follow it."""


class Routine(enum.IntEnum):
    """Routine identifiers."""

    OPEN_WIRE = 0xB010
    ERASE_MEMORY = 0xFF00
    CHECK_DEPENDENCIES = 0xFF01


class Dependencies(enum.IntEnum):
    """What the routine that checks the software finds."""

    CORRECT = 0x00
    CHECKSUM_WRONG = 0x01
    HARDWARE_INCOMPATIBLE = 0x02


OPEN_WIRE_BYTES = 12
"""Length of the open-wire routine's bitmap of cells, however many a pack has."""


def cell_did(cell: int) -> int:
    """Identifier of the voltage of a cell group, from 1: 9021 on, stepping over the bitmaps."""
    return 0x9020 + cell + (cell - 1) // (_PER_PAGE - 1)


def temperature_did(sensor: int) -> int:
    """Identifier of a temperature sensor, from 1: 9131 on, stepping over the bitmaps."""
    did = Did.TEMPERATURE_FIRST + sensor - 1
    return did + (did // _PER_PAGE - Did.TEMPERATURE_FIRST // _PER_PAGE)


def is_bitmap(did: int) -> bool:
    """Whether the identifier lists its successors instead of carrying a value."""
    return did >> 12 == 9 and did % _PER_PAGE == 0


def decode_flag(data: bytes) -> bool:
    """The value of a flag.

    Raises:
        ValueError: not a single byte of 00 or 01.
    """
    if data not in (b"\x00", b"\x01"):
        raise ValueError(f"{data.hex() or 'nothing'} where 00 or 01 is due")
    return data == b"\x01"


def bitmap_of(cells: Iterable[int]) -> int:
    """Cells, from 1, as the bitmap of the balancing identifier and the open-wire routine: cell 1 the lowest bit."""
    bitmap = 0
    for cell in cells:
        bitmap |= 1 << cell - 1
    return bitmap


def cells_in(bitmap: int) -> list[int]:
    """Cells of a bitmap, ascending from 1."""
    return [cell for cell in range(1, bitmap.bit_length() + 1) if bitmap >> cell - 1 & 1]


_CHIP_SERIAL_BYTES = 8


def encode_chips(chips: Iterable[tuple[str, int]]) -> bytes:
    """Monitoring chips, each as its serial number in eight characters and its number of cells, in order of the chain.

    Raises:
        ValueError: a serial number is too long or not ASCII.
    """
    serial = Text(_CHIP_SERIAL_BYTES)
    return b"".join(serial.encode(number) + bytes((cells,)) for number, cells in chips)


def decode_chips(data: bytes) -> Sequence[tuple[str, int]]:
    """Serial number and number of cells of each monitoring chip, in order of the chain.

    Raises:
        ValueError: no whole number of chips, none at all, or a serial number that is none.
    """
    size = _CHIP_SERIAL_BYTES + 1
    if not data or len(data) % size:
        raise ValueError(f"{len(data)} bytes are no list of monitoring chips")
    serial = Text(_CHIP_SERIAL_BYTES)
    chips = [(serial.decode(data[at : at + size - 1]), data[at + size - 1]) for at in range(0, len(data), size)]
    if not all(number for number, _ in chips):
        raise ValueError("a monitoring chip has no serial number")
    return chips


@dataclass(frozen=True, slots=True)
class Text:
    """ASCII, padded with spaces to `length`; erased memory (all FF) is empty."""

    length: int

    def encode(self, text: str) -> bytes:
        """The data of a text.

        Raises:
            ValueError: it is too long, or not ASCII.
        """
        data = text.encode("ascii")
        if len(data) > self.length:
            raise ValueError(f"{text!r} has more than {self.length} characters")
        return data.ljust(self.length)

    def decode(self, data: bytes) -> str:
        """The text of the data.

        Raises:
            ValueError: wrong length, or not printable ASCII.
        """
        if len(data) != self.length:
            raise ValueError(f"{len(data)} bytes where {self.length} are due")
        if data.strip(b"\xff") == b"":
            return ""
        text = data.decode("ascii").rstrip(" \0")
        if not text.isprintable():
            raise ValueError(f"{data!r} is not text")
        return text


@dataclass(frozen=True, slots=True)
class Scaled:
    """An unsigned integer, most significant byte first: value = raw * lsb + offset. All ones: not available."""

    length: int
    lsb: float
    offset: float = 0.0

    @property
    def sentinel(self) -> int:
        """The raw value that stands for none."""
        return (1 << 8 * self.length) - 1

    def encode(self, value: float | None) -> bytes:
        """The data of a value, clipped to the range; None becomes the sentinel."""
        raw = self.sentinel
        if value is not None:
            raw = max(0, min(self.sentinel - 1, round((value - self.offset) / self.lsb)))
        return raw.to_bytes(self.length)

    def decode(self, data: bytes) -> float | None:
        """The value of the data; None for the sentinel.

        Raises:
            ValueError: wrong length.
        """
        if len(data) != self.length:
            raise ValueError(f"{len(data)} bytes where {self.length} are due")
        raw = int.from_bytes(data)
        return None if raw == self.sentinel else raw * self.lsb + self.offset


TEXTS = {
    Did.REVISION: Text(10),
    Did.BOOT_SOFTWARE: Text(10),
    Did.CALIBRATION: Text(16),
    Did.PART_NUMBER: Text(10),
    Did.ECU_SOFTWARE: Text(10),
    Did.SUPPLIER: Text(10),
    Did.ECU_SERIAL: Text(20),
    Did.VIN: Text(17),
    Did.HARDWARE: Text(10),
    Did.SOFTWARE: Text(16),
    Did.SOFTWARE_VERSION: Text(16),
    Did.DIAGNOSTIC_VERSION: Text(4),
    Did.PACK_SERIAL: Text(25),
    Did.TRACEABILITY: Text(19),
    Did.FUNCTIONAL_NUMBER: Text(25),
}
"""Identifiers whose data is text."""

PERCENT = Scaled(2, 0.01)
PACK_VOLTAGE = Scaled(2, 0.1)
CELL_VOLTAGE = Scaled(2, 1 / 1024)
TEMPERATURE = Scaled(2, 0.0625, -40.0)
INSULATION = Scaled(2, 200.0)
CHARGE = Scaled(4, 0.001, -2_000_000.0)
"""Net charge counted since the first supply, in Ah; into the pack counts positive."""
CURRENT = Scaled(2, 0.03125, -1020.0)
BUSBAR_VOLTAGE = Scaled(2, 1 / 32768, -1.0)
SLEEP_DELAY = Scaled(2, 0.1)
