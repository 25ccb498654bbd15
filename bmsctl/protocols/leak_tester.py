"""Registers of the leak tester, over Modbus RTU; `leak_tester.md` beside this file is the specification."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from typing import NamedTuple

UNIT = 1

TAG, FIRST, TEST, SETTINGS = 0, 1, 2, 3
"""Addresses of holding registers; what is read of them begins with the tag."""
HOLDING_COUNT = 9
IDENTITY, IDENTITY_COUNT = 0x0000, 33
STATUS, STATUS_COUNT = 0x0100, 123
"""Input registers."""

STOP = 0
TESTS = 0xFFFF
"""Tests are numbered from 1 to this, and then from 1 again."""
SAMPLE_S = 0.5
PAGE = 23
SAMPLES_MAX = 1200
"""Samples in one answer, and in the tester's memory."""
FILLED_SHARE = 0.9
VENTED_PA = 50.0

_SETTINGS = struct.Struct(">HiHHH")
_STATUS = struct.Struct(">HHHHiHH")
_SAMPLE = struct.Struct(">ihI")
_PER_SECOND, _PER_PASCAL, _PER_KELVIN = 10, 10, 1000
_OFFSET_C = 20.0


class Phase(enum.IntEnum):
    """What the tester is about."""

    VENTED = 0
    FILL = 1
    SETTLE = 2
    TEST = 3
    VENT = 4


class Result(enum.IntEnum):
    """How a test has ended."""

    NONE = 0
    DONE = 1
    GROSS_LEAK = 2
    NO_PRESSURE = 3
    STOPPED = 4


class Settings(NamedTuple):
    """What is tested how; the pressure is gauge."""

    channel: int
    pressure_pa: float
    fill_s: float
    settle_s: float
    test_s: float

    @property
    def samples(self) -> int:
        """How many samples a whole test takes."""
        return round((self.settle_s + self.test_s) * _PER_SECOND) // round(SAMPLE_S * _PER_SECOND) + 1


class Sample(NamedTuple):
    """One sample: gauge, the air in the volume, absolute."""

    pressure_pa: float
    temperature_c: float
    atmosphere_pa: float


class StatusBlock(NamedTuple):
    """Status, and a page of samples from number `first` on."""

    tag: int
    test: int
    phase: Phase
    result: Result
    pressure_pa: float
    taken: int
    first: int
    samples: tuple[Sample, ...]


def encode_settings(settings: Settings) -> tuple[int, ...]:
    """Registers from SETTINGS on.

    Raises:
        ValueError: a value does not fit its register; says which.
    """
    fields = (
        ("channel", settings.channel, 0, 0xFFFF),
        ("test pressure", round(settings.pressure_pa), -(1 << 31), (1 << 31) - 1),
        ("fill time", round(settings.fill_s * _PER_SECOND), 0, 0xFFFF),
        ("settling time", round(settings.settle_s * _PER_SECOND), 0, 0xFFFF),
        ("test time", round(settings.test_s * _PER_SECOND), 0, 0xFFFF),
    )
    for name, value, low, high in fields:
        if not low <= value <= high:
            raise ValueError(f"no register holds this {name}; make it smaller")
    return _registers(_SETTINGS.pack(*(value for _, value, _, _ in fields)))


def decode_settings(registers: Sequence[int]) -> Settings:
    """What registers from SETTINGS on say."""
    channel, pressure, fill, settle, test = _SETTINGS.unpack(_bytes(registers))
    return Settings(channel, float(pressure), *(tenths / _PER_SECOND for tenths in (fill, settle, test)))


def encode_identity(tag: int, text: str) -> tuple[int, ...]:
    """Block IDENTITY."""
    return tag, *_registers(text.encode("ascii").ljust(2 * (IDENTITY_COUNT - 1), b"\0"))


def decode_identity(registers: Sequence[int]) -> str:
    """The text of block IDENTITY.

    Raises:
        ValueError: it is empty or no printable ASCII.
    """
    text = _bytes(registers[1:]).rstrip(b"\0").decode("ascii")
    if not text or not text.isprintable():
        raise ValueError("its identity is no text")
    return text


def encode_status(status: StatusBlock) -> tuple[int, ...]:
    """Block STATUS."""
    head = (status.tag, status.test, status.phase, status.result, round(status.pressure_pa * _PER_PASCAL))
    data = _STATUS.pack(*head, status.taken, status.first)
    for pressure_pa, temperature_c, atmosphere_pa in status.samples:
        temperature = round((temperature_c - _OFFSET_C) * _PER_KELVIN)
        data += _SAMPLE.pack(round(pressure_pa * _PER_PASCAL), temperature, round(atmosphere_pa * _PER_PASCAL))
    return _registers(data.ljust(2 * STATUS_COUNT, b"\0"))


def decode_status(registers: Sequence[int]) -> StatusBlock:
    """What block STATUS says.

    Raises:
        ValueError: there is no such phase or result.
    """
    data = _bytes(registers)
    tag, test, phase, result, pressure, taken, first = _STATUS.unpack_from(data)
    shown = min(max(taken - first, 0), PAGE)
    samples = tuple(
        Sample(pressure / _PER_PASCAL, _OFFSET_C + temperature / _PER_KELVIN, atmosphere / _PER_PASCAL)
        for pressure, temperature, atmosphere in _SAMPLE.iter_unpack(data[_STATUS.size :][: shown * _SAMPLE.size])
    )
    return StatusBlock(tag, test, Phase(phase), Result(result), pressure / _PER_PASCAL, taken, first, samples)


def _registers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


def _bytes(registers: Sequence[int]) -> bytes:
    return struct.pack(f">{len(registers)}H", *registers)
