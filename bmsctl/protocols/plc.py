"""Telegrams of the safety PLC, on the station bus (see `station_bus`; byte 7 is always the CRC).

| frame | id | sent | bytes |
|---|---|---|---|
| Challenge | 0x100 | PLC, 50 ms | 0 sequence; 1-4 nonce; 5-6 flags as in Status |
| Answer | 0x101 | station, to each challenge | 0 its sequence; 1-4 response; 5-6 zero |
| Request | 0x102 | station, on change | 0 permit, KL30, KL15, coils, HVIL bridge (bits 0-4); |
| | | | 1-2 run token; 3-5 zero; 6 alive |
| StatusChanged | 0x108 | PLC, on change and after each Request | as Status |
| Status | 0x110 | PLC, 20 ms | 0-1 flags; 2 voltage free (bit 0), trip cause (bits 4-7); |
| | | | 3 refusal (bits 0-3), alive of the last Request (bits 4-7); 4-5 zero; 6 alive |
| Voltages | 0x111 | PLC, 20 ms | U_PN, U_link, U_P-PE, U_N-PE, signed, 13 bits each from bit 0, 0.1 V; |
| | | | alive in bits 52-55 |
| Sense | 0x112 | PLC, 500 ms | 0-1 air temperature, signed, 0.1 °C; 2 adapter code; 3-5 zero; 6 alive |

flags: guard closed, e-stop released, permissive, tripped, KL30, KL15, coil supply, discharging, HVIL bridged (bits
0-8). They are repeated in the challenge, so that a lost StatusChanged is noticed one challenge later. The counter of
Challenge is its 8-bit sequence, every other counter has 4 bits. The sentinels, 0x1000 for a voltage and 0x8000 for the
temperature, mean: not measured, or out of range. The poles are measured against chassis only while the PLC's proof
resistors are on, that is, while nothing is permitted.

coils asks for the supply of the pack's contactor coils and means something only together with permit. HVIL bridge asks
for the station's part of the pack's interlock loop to be closed, as it is when the PLC starts. The adapter between pack
and station codes its kind by a resistor: code 0 is an open coding, that is, no adapter; 255 a shorted one.

The response to a challenge is CRC-32 (ISO-HDLC) over nonce (4 bytes) and run token (2 bytes), little endian: it shows
that the sequencer read this very challenge and runs under this very token. It is no secret.
"""

from __future__ import annotations

import enum
import struct
import zlib
from typing import NamedTuple

from bmsctl.domain.ports import TripCause
from bmsctl.protocols.station_bus import ALIVE_MASK, Seal

CHALLENGE_ID = 0x100
ANSWER_ID = 0x101
REQUEST_ID = 0x102
STATUS_CHANGED_ID = 0x108
STATUS_ID = 0x110
VOLTAGES_ID = 0x111
SENSE_ID = 0x112

CHALLENGE_PERIOD_S = 0.05
STATUS_PERIOD_S = 0.02
VOLTAGES_PERIOD_S = 0.02
SENSE_PERIOD_S = 0.5

GUARD_CLOSED, ESTOP_RELEASED, PERMISSIVE, TRIPPED = 0x01, 0x02, 0x04, 0x08
KL30, KL15, COIL_SUPPLY, DISCHARGING = 0x10, 0x20, 0x40, 0x80
HVIL_BRIDGED = 0x100

VOLTAGE_LSB_V = 0.1
VOLTAGE_SENTINEL = 0x1000
AIR_LSB_K = 0.1
AIR_SENTINEL = -0x8000
ADAPTER_NONE, ADAPTER_SHORTED = 0, 255

_CAUSES = (
    TripCause.NONE,
    TripCause.WATCHDOG,
    TripCause.ESTOP,
    TripCause.GUARD,
    TripCause.SAFE_STOP_TIMEOUT,
    TripCause.VOLTMETER,
)

_CHALLENGE, _ANSWER, _REQUEST = Seal(CHALLENGE_ID), Seal(ANSWER_ID), Seal(REQUEST_ID)
_STATUS = {STATUS_ID: Seal(STATUS_ID), STATUS_CHANGED_ID: Seal(STATUS_CHANGED_ID)}
_VOLTAGES, _SENSE = Seal(VOLTAGES_ID), Seal(SENSE_ID)

_QUESTION = struct.Struct("<BIH")
_REPLY = struct.Struct("<BIxx")
_WISH = struct.Struct("<BHxxxB")
_STATE = struct.Struct("<HBBxxB")
_STATION = struct.Struct("<hBxxxB")
_PROOF = struct.Struct("<IH")


class Refusal(enum.IntEnum):
    """Why the PLC did not permit what the last Request asked for."""

    NONE = 0
    GUARD_OPEN = 1
    ESTOP_PRESSED = 2
    TRIPPED = 3
    TOKEN_USED = 4
    NO_ANSWER = 5
    STOPPING = 6
    POLES_LIVE = 7


class Question(NamedTuple):
    """Contents of Challenge."""

    sequence: int
    nonce: int
    flags: int


class Reply(NamedTuple):
    """Contents of Answer."""

    sequence: int
    response: int


class Request(NamedTuple):
    """Contents of Request. `token`: 16 bits, 0 for no run."""

    permit: bool
    kl30: bool
    kl15: bool
    coils: bool
    hvil: bool
    token: int
    alive: int


class Status(NamedTuple):
    """Contents of Status and StatusChanged; `echo` is the alive counter of the last Request."""

    flags: int
    voltage_free: bool
    cause: TripCause
    refusal: Refusal
    echo: int
    alive: int


class Voltages(NamedTuple):
    """Contents of Voltages, in volts; None for the sentinel."""

    u_pn: float | None
    u_link: float | None
    u_p_pe: float | None
    u_n_pe: float | None
    alive: int


class Sense(NamedTuple):
    """Contents of Sense: air temperature in °C, None for the sentinel, and the adapter code."""

    air_c: float | None
    adapter: int
    alive: int


def response(nonce: int, token: int) -> int:
    """What a challenge demands under a run token, 32 bits."""
    return zlib.crc32(_PROOF.pack(nonce, token))


def encode_challenge(question: Question) -> bytes:
    return _CHALLENGE.close(_QUESTION.pack(*question))


def decode_challenge(data: bytes) -> Question | None:
    """None for a damaged frame."""
    return Question._make(_QUESTION.unpack_from(data)) if _CHALLENGE.holds(data) else None


def encode_answer(reply: Reply) -> bytes:
    return _ANSWER.close(_REPLY.pack(*reply))


def decode_answer(data: bytes) -> Reply | None:
    """None for a damaged frame."""
    return Reply._make(_REPLY.unpack_from(data)) if _ANSWER.holds(data) else None


def encode_request(request: Request) -> bytes:
    wishes = request.permit | request.kl30 << 1 | request.kl15 << 2 | request.coils << 3 | request.hvil << 4
    return _REQUEST.close(_WISH.pack(wishes, request.token, request.alive))


def decode_request(data: bytes) -> Request | None:
    """None for a damaged frame."""
    if not _REQUEST.holds(data):
        return None
    wishes, token, alive = _WISH.unpack_from(data)
    permit, kl30, kl15, coils, hvil = (bool(wishes >> bit & 1) for bit in range(5))
    return Request(permit, kl30, kl15, coils, hvil, token, alive & ALIVE_MASK)


def encode_status(status: Status, can_id: int = STATUS_ID) -> bytes:
    """`can_id`: STATUS_ID or STATUS_CHANGED_ID."""
    proof = status.voltage_free | _CAUSES.index(status.cause) << 4
    return _STATUS[can_id].close(_STATE.pack(status.flags, proof, status.refusal | status.echo << 4, status.alive))


def decode_status(data: bytes, can_id: int = STATUS_ID) -> Status | None:
    """None for a damaged frame, or one with a cause or refusal that does not exist."""
    if not _STATUS[can_id].holds(data):
        return None
    flags, proof, verdict, alive = _STATE.unpack_from(data)
    cause, refusal = proof >> 4, verdict & 0xF
    if cause >= len(_CAUSES) or refusal >= len(Refusal):
        return None
    return Status(flags, bool(proof & 1), _CAUSES[cause], Refusal(refusal), verdict >> 4, alive & ALIVE_MASK)


def encode_voltages(voltages: Voltages) -> bytes:
    raw = voltages.alive << 52
    for index, volts in enumerate(voltages[:4]):
        raw |= _raw_voltage(volts) << 13 * index
    return _VOLTAGES.close(raw.to_bytes(7, "little"))


def decode_voltages(data: bytes) -> Voltages | None:
    """None for a damaged frame."""
    if not _VOLTAGES.holds(data):
        return None
    raw = int.from_bytes(data[:7], "little")
    volts = [_voltage(raw >> 13 * index & 0x1FFF) for index in range(4)]
    return Voltages(volts[0], volts[1], volts[2], volts[3], raw >> 52)


def encode_sense(sense: Sense) -> bytes:
    counts = AIR_SENTINEL if sense.air_c is None else round(sense.air_c / AIR_LSB_K)
    counts = counts if abs(counts) < -AIR_SENTINEL else AIR_SENTINEL
    return _SENSE.close(_STATION.pack(counts, sense.adapter, sense.alive))


def decode_sense(data: bytes) -> Sense | None:
    """None for a damaged frame."""
    if not _SENSE.holds(data):
        return None
    counts, adapter, alive = _STATION.unpack_from(data)
    return Sense(None if counts == AIR_SENTINEL else counts / 10.0, adapter, alive & ALIVE_MASK)


def _raw_voltage(volts: float | None) -> int:
    if volts is None:
        return VOLTAGE_SENTINEL
    counts = round(volts / VOLTAGE_LSB_V)
    return counts & 0x1FFF if -0x1000 < counts < 0x1000 else VOLTAGE_SENTINEL


def _voltage(raw: int) -> float | None:
    if raw == VOLTAGE_SENTINEL:
        return None
    return (raw - 0x2000 if raw & 0x1000 else raw) / 10.0
