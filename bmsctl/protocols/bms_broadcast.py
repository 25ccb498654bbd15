"""What the AmpR Small battery management system broadcasts, and the one frame it takes from the station.

All frames share an envelope, little endian: byte 0 is the CRC-8/SAE-J1850 over the identifier (low byte,
high byte) and bytes 1 to the end; bits 8 to 11 are the alive counter; the payload begins at bit 12. Most
payloads are four fields of 13 bits. The message set is `recipes/ampr_small.dbc`.
"""

from __future__ import annotations

import enum
import functools
import struct
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bmsctl.domain.ports import F64, Relay
from bmsctl.protocols.checksum import CRC8_TABLE, crc8

DBC_REVISION = 1

CURRENT_ID = 0x110
TAPS_ID = 0x120
STATUS_ID = 0x130
CELL_IDS = tuple(range(0x200, 0x218))
BUSBARS_ID = 0x230
BALANCING_IDS = (0x240, 0x241)
TEMPERATURE_IDS = (0x250, 0x251, 0x252)
INSULATION_ID = 0x260
RELAY_REQUEST_ID = 0x310

PERIOD_S: Mapping[int, float] = MappingProxyType(
    {CURRENT_ID: 0.01, TAPS_ID: 0.02, STATUS_ID: 0.1, BUSBARS_ID: 0.1}
    | dict.fromkeys(CELL_IDS + BALANCING_IDS, 0.1)
    | dict.fromkeys((*TEMPERATURE_IDS, INSULATION_ID), 1.0)
)
"""Every broadcast frame and its period."""

LENGTH: Mapping[int, int] = MappingProxyType(
    dict.fromkeys(PERIOD_S, 8)
    | {CURRENT_ID: 4, STATUS_ID: 4, INSULATION_ID: 4, BUSBARS_ID: 7, RELAY_REQUEST_ID: 2}
    | dict.fromkeys(BALANCING_IDS, 8)
)

SERIES = 4 * len(CELL_IDS)
THERMISTORS = 4 * len(TEMPERATURE_IDS)
BUSBARS = 3

CELL_V = 1 / 1024
TAP_V = 0.1
CURRENT_A = 0.03125
TEMPERATURE_K = 0.0625
TEMPERATURE_ZERO_C = -40.0
BUSBAR_V = 1 / 32768
INSULATION_OHM = 200.0

SNA_UNSIGNED = 0x1FFF
"""Signal not available, in a 13-bit field without sign."""
SNA_SIGNED = 0x1000
"""Signal not available, in a 13-bit field with sign: the most negative value."""
SNA_CURRENT = 0x8000
SNA_INSULATION = 0xFFFF
INSULATION_ABOVE_RANGE = 0xFFFE
ALL_SNA_UNSIGNED = (1 << 52) - 1
"""Payload of four unsigned fields without a value."""

_FIELD = 0x1FFF
_DRIVER_ON = {relay: 1 << 6 + 2 * index for index, relay in enumerate(Relay)}
_CRC_START = {can_id: crc8(can_id.to_bytes(2, "little")) ^ 0xFF for can_id in LENGTH}
_BODY_BYTES = 7
"""After the CRC, in a frame of 8 bytes."""


def _left(remainder: int, bytes_later: int) -> int:
    """What a remainder has become after so many zero bytes."""
    for _ in range(bytes_later):
        remainder = CRC8_TABLE[remainder]
    return remainder


_LEFT_BY_BYTE = tuple(bytes(_left(byte, _BODY_BYTES - at) for byte in range(256)) for at in range(_BODY_BYTES))
"""What a byte alone leaves of the CRC, by where it is."""
_SHIFTS = np.array([0, 13, 26, 39], np.uint64)
_I64 = NDArray[np.int64]


class OperatingState(enum.IntEnum):
    """What the BMS is doing. PLANT: its relays obey RelayRequest."""

    BOOT = 0
    RUN = 1
    PLANT = 2
    SHUTTING_DOWN = 3


class Hvil(enum.IntEnum):
    """High-voltage interlock loop."""

    NOT_USED = 0
    OPEN = 1
    CLOSED = 2
    UNAVAILABLE = 3


class InsulationState(enum.IntEnum):
    """Insulation monitor."""

    NOT_READY = 0
    MEASURING = 1
    SETTLED = 2
    OFF = 3


class Sealed(NamedTuple):
    """A frame that passed its check."""

    alive: int
    payload: int


class Status(NamedTuple):
    """Status frame. `relays` are the coil drivers' echoes, not the contacts; None: sentinel or driver fault."""

    state: OperatingState | None
    hvil: Hvil
    relays: Mapping[Relay, bool | None]
    dbc_revision: int


class Taps(NamedTuple):
    """Voltages against B-, in volts; None: sentinel."""

    u_batt: float | None
    u_p: float | None
    u_n: float | None
    u_link: float | None


class Insulation(NamedTuple):
    """Insulation of the whole pack, in ohm; None: sentinel. `above_range`: it is at least that much."""

    resistance_ohm: float | None
    above_range: bool
    state: InsulationState | None


def seal(can_id: int, alive: int, payload: int) -> bytes:
    """The frame's data: CRC, alive counter (modulo 16), payload."""
    body = ((alive & 0xF) | payload << 4).to_bytes(LENGTH[can_id] - 1, "little")
    table, crc = CRC8_TABLE, _CRC_START[can_id]
    for byte in body:
        crc = table[crc ^ byte]
    return bytes((crc ^ 0xFF,)) + body


def unseal(can_id: int, data: bytes) -> Sealed | None:
    """Alive counter and payload, or None if length or CRC is wrong."""
    if len(data) != LENGTH[can_id]:
        return None
    table, crc = CRC8_TABLE, _CRC_START[can_id]
    for byte in data[1:]:
        crc = table[crc ^ byte]
    if crc ^ 0xFF != data[0]:
        return None
    body = int.from_bytes(data[1:], "little")
    return Sealed(body & 0xF, body >> 4)


def seal_burst(can_ids: Sequence[int], alive: int, payloads: Sequence[int]) -> list[bytes]:
    """As `seal` for frames of 8 bytes that are sent together."""
    counter = (alive & 0xF) << 8
    data = bytearray(struct.pack(f"<{len(payloads)}Q", *[payload << 12 | counter for payload in payloads]))
    data[0::8] = _burst_crcs(tuple(can_ids), data)
    sealed = bytes(data)
    return [sealed[at : at + 8] for at in range(0, len(sealed), 8)]


def unseal_burst(can_ids: Sequence[int], frames: Sequence[bytes]) -> list[tuple[int, int] | None]:
    """As `unseal` for frames of 8 bytes that were sent together."""
    data = b"".join(frames)
    if set(map(len, frames)) != {8} or data[0::8] != _burst_crcs(tuple(can_ids), data):
        return [unseal(can_id, one) for can_id, one in zip(can_ids, frames, strict=True)]
    words = struct.unpack(f"<{len(frames)}Q", data)
    return [(word >> 8 & 0xF, word >> 12) for word in words]


def _burst_crcs(can_ids: tuple[int, ...], data: bytes | bytearray) -> bytes:
    """CRCs of frames of 8 bytes, one after the other in `data`.

    The remainder is linear: that of a frame is the sum of what its identifier and each byte alone leave.
    """
    crcs = _left_by_ids(can_ids)
    for at, left in enumerate(_LEFT_BY_BYTE, start=1):
        crcs ^= int.from_bytes(data[at::8].translate(left), "little")
    return crcs.to_bytes(len(can_ids), "little")


@functools.lru_cache
def _left_by_ids(can_ids: tuple[int, ...]) -> int:
    """What identifiers alone leave of the CRCs, the first in the lowest byte."""
    return int.from_bytes(bytes(_left(_CRC_START[can_id], _BODY_BYTES) ^ 0xFF for can_id in can_ids), "little")


def encode_status(state: OperatingState, hvil: Hvil, closed: Set[Relay], alive: int) -> bytes:
    """Status with healthy coil drivers, those of `closed` on."""
    payload = state.value | hvil.value << 4 | DBC_REVISION << 12
    for relay in closed:
        payload |= _DRIVER_ON[relay]
    return seal(STATUS_ID, alive, payload)


def decode_status(payload: int) -> Status:
    """Status from a payload."""
    state = payload & 0xF
    drivers = (payload >> 6 & 3, payload >> 8 & 3, payload >> 10 & 3)
    return Status(
        state=OperatingState(state) if state <= OperatingState.SHUTTING_DOWN else None,
        hvil=Hvil(payload >> 4 & 3),
        relays={relay: bool(driver) if driver < 2 else None for relay, driver in zip(Relay, drivers, strict=True)},
        dbc_revision=payload >> 12 & 0xFF,
    )


def encode_taps(taps: Taps, alive: int) -> bytes:
    """Taps, to 0.1 V, clipped to the field; None becomes the sentinel."""
    payload = 0
    for index, volt in enumerate(taps):
        payload |= _signed_field(volt, TAP_V) << 13 * index
    return seal(TAPS_ID, alive, payload)


def decode_taps(payload: int) -> Taps:
    """Taps from a payload."""
    return Taps(*(_signed_value(payload >> shift & _FIELD, 10.0) for shift in (0, 13, 26, 39)))


def encode_busbars(voltage_v: Sequence[float | None], alive: int) -> bytes:
    """Voltage along each inter-module bar; None becomes the sentinel."""
    payload = 0
    for index, volt in enumerate(voltage_v):
        payload |= _signed_field(volt, BUSBAR_V) << 13 * index
    return seal(BUSBARS_ID, alive, payload)


def decode_busbars(payload: int) -> tuple[float | None, ...]:
    """Voltage along each inter-module bar, in volts; None: sentinel."""
    return tuple(_signed_value(payload >> 13 * index & _FIELD, 1 / BUSBAR_V) for index in range(BUSBARS))


def encode_current(current_a: float | None, alive: int) -> bytes:
    """Pack current, charge positive, to 1/32 A, clipped to the field; None becomes the sentinel."""
    if current_a is None:
        return seal(CURRENT_ID, alive, SNA_CURRENT)
    raw = max(-0x7FFF, min(0x7FFF, round(current_a / CURRENT_A)))
    return seal(CURRENT_ID, alive, raw & 0xFFFF)


def decode_current(payload: int) -> float | None:
    """Pack current in ampere, charge positive; None: sentinel."""
    raw = payload & 0xFFFF
    return None if raw == SNA_CURRENT else (raw - (raw >> 15 << 16)) * CURRENT_A


def encode_insulation(resistance_ohm: float | None, state: InsulationState, alive: int) -> bytes:
    """Insulation, to 200 ohm; above the range it saturates, None becomes the sentinel."""
    raw = SNA_INSULATION
    if resistance_ohm is not None:
        raw = min(INSULATION_ABOVE_RANGE, max(0, round(resistance_ohm / INSULATION_OHM)))
    return seal(INSULATION_ID, alive, raw | state << 16)


def decode_insulation(payload: int) -> Insulation:
    """Insulation from a payload."""
    raw, state = payload & 0xFFFF, payload >> 16 & 7
    return Insulation(
        resistance_ohm=None if raw == SNA_INSULATION else raw * INSULATION_OHM,
        above_range=raw == INSULATION_ABOVE_RANGE,
        state=InsulationState(state) if state <= InsulationState.OFF else None,
    )


def pack_balancing(cells: int) -> list[int]:
    """Payloads for balancing switches as commanded, cell 1 the lowest bit of `cells`; one frame per 48 cells."""
    return [cells >> 48 * index & (1 << 48) - 1 for index in range(len(BALANCING_IDS))]


def decode_balancing(payloads: Sequence[int]) -> int:
    """Balancing switches, cell 1 the lowest bit."""
    return payloads[0] | payloads[1] << 48


def encode_relay_request(closed: Set[Relay], alive: int) -> bytes:
    """Station to BMS: exactly these coils on."""
    return seal(RELAY_REQUEST_ID, alive, sum((relay in closed) << index for index, relay in enumerate(Relay)))


def decode_relay_request(payload: int) -> frozenset[Relay]:
    """Coils that shall be on."""
    return frozenset(relay for index, relay in enumerate(Relay) if payload >> index & 1)


def requested_relays(data: bytes) -> frozenset[Relay]:
    """Coils a RelayRequest frame asks for, whether or not its check is right; none if it is too short."""
    return decode_relay_request(int.from_bytes(data, "little") >> 12)


def pack_cells(voltage_v: F64) -> list[int]:
    """Payloads of the cell frames of one cycle from (n,) volts, n a multiple of 4; NaN becomes the sentinel."""
    return _packed(voltage_v * (1 / CELL_V))


def decode_cells(payloads: Sequence[int]) -> F64:
    """(4 n,) volts from the payloads of the first n cell frames; NaN: sentinel."""
    raw = _fields(payloads)
    return np.where(raw == SNA_UNSIGNED, np.nan, raw * CELL_V)


def pack_temperatures(temperature_c: F64) -> list[int]:
    """Payloads of the temperature frames of one cycle from (n,) °C, n a multiple of 4; NaN becomes the sentinel."""
    return _packed((temperature_c - TEMPERATURE_ZERO_C) / TEMPERATURE_K)


def decode_temperatures(payloads: Sequence[int]) -> list[float | None]:
    """°C from the payloads of the temperature frames; None: sentinel."""
    fields = _fields(payloads).tolist()
    return [None if raw == SNA_UNSIGNED else raw * TEMPERATURE_K + TEMPERATURE_ZERO_C for raw in fields]


def _signed_field(value: float | None, lsb: float) -> int:
    if value is None:
        return SNA_SIGNED
    return max(-0xFFF, min(0xFFF, round(value / lsb))) & _FIELD


def _signed_value(field: int, per_unit: float) -> float | None:
    return None if field == SNA_SIGNED else (field - (field >> 12 << 13)) / per_unit


def _fields(payloads: Sequence[int]) -> _I64:
    """(4 n,) raw 13-bit fields of n payloads."""
    words = np.array(payloads, np.uint64)[:, np.newaxis] >> _SHIFTS & np.uint64(_FIELD)
    return words.astype(np.int64).ravel()


def _packed(steps: F64) -> list[int]:
    """Payloads of four 13-bit fields each, from values in steps of their resolution; NaN becomes the sentinel."""
    raw = np.rint(steps)
    np.maximum(raw, 0, out=raw)
    np.minimum(raw, SNA_UNSIGNED - 1, out=raw)
    raw[np.isnan(raw)] = SNA_UNSIGNED
    payloads: list[int] = np.bitwise_or.reduce(raw.astype(np.uint64).reshape(-1, 4) << _SHIFTS, axis=1).tolist()
    return payloads
