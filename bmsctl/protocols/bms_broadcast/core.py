"""The frames that are the same in every message set: current, taps, status, insulation, and the relay request.

So a station hears the current and the coil drivers of whatever pack stands on it, and can ask for open contactors,
before it knows which message set the pack speaks. The relay request is a classic frame in every set: a BMS without
CAN FD never sees an FD frame from the station.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from types import MappingProxyType

from bmsctl.domain.ports import Relay
from bmsctl.protocols.bms_broadcast.envelope import PAYLOAD_BIT, seal
from bmsctl.protocols.bms_broadcast.fields import signed_field, signed_value
from bmsctl.protocols.bms_broadcast.values import Hvil, Insulation, InsulationState, OperatingState, Status, Taps

CURRENT_ID = 0x110
TAPS_ID = 0x120
STATUS_ID = 0x130
INSULATION_ID = 0x260
RELAY_REQUEST_ID = 0x310

CORE_PERIOD_S: Mapping[int, float] = MappingProxyType(
    {CURRENT_ID: 0.01, TAPS_ID: 0.02, STATUS_ID: 0.1, INSULATION_ID: 1.0}
)
"""What of these the BMS broadcasts, and its period."""

CORE_LENGTH: Mapping[int, int] = MappingProxyType(
    {CURRENT_ID: 4, TAPS_ID: 8, STATUS_ID: 4, INSULATION_ID: 4, RELAY_REQUEST_ID: 2}
)

TAP_V = 0.1
CURRENT_A = 0.03125
INSULATION_OHM = 200.0

SNA_CURRENT = 0x8000
SNA_INSULATION = 0xFFFF
INSULATION_ABOVE_RANGE = 0xFFFE

_DRIVER_ON = {relay: 1 << 6 + 2 * index for index, relay in enumerate(Relay)}


def encode_status(state: OperatingState, hvil: Hvil, closed: Set[Relay], alive: int, revision: int) -> bytes:
    """Status with healthy coil drivers, those of `closed` on. `revision`: of the message set."""
    payload = state.value | hvil.value << 4 | revision << 12
    for relay in closed:
        payload |= _DRIVER_ON[relay]
    return seal(STATUS_ID, alive, payload, CORE_LENGTH[STATUS_ID])


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
        payload |= signed_field(volt, TAP_V) << 13 * index
    return seal(TAPS_ID, alive, payload, CORE_LENGTH[TAPS_ID])


def decode_taps(payload: int) -> Taps:
    """Taps from a payload."""
    return Taps(*(signed_value(payload, index, 10.0) for index in range(4)))


def encode_current(current_a: float | None, alive: int) -> bytes:
    """Pack current, charge positive, to 1/32 A, clipped to the field; None becomes the sentinel."""
    raw = SNA_CURRENT
    if current_a is not None:
        raw = max(-0x7FFF, min(0x7FFF, round(current_a / CURRENT_A))) & 0xFFFF
    return seal(CURRENT_ID, alive, raw, CORE_LENGTH[CURRENT_ID])


def decode_current(payload: int) -> float | None:
    """Pack current in ampere, charge positive; None: sentinel."""
    raw = payload & 0xFFFF
    return None if raw == SNA_CURRENT else (raw - (raw >> 15 << 16)) * CURRENT_A


def encode_insulation(resistance_ohm: float | None, state: InsulationState, alive: int) -> bytes:
    """Insulation, to 200 ohm; above the range it saturates, None becomes the sentinel."""
    raw = SNA_INSULATION
    if resistance_ohm is not None:
        raw = min(INSULATION_ABOVE_RANGE, max(0, round(resistance_ohm / INSULATION_OHM)))
    return seal(INSULATION_ID, alive, raw | state << 16, CORE_LENGTH[INSULATION_ID])


def decode_insulation(payload: int) -> Insulation:
    """Insulation from a payload."""
    raw, state = payload & 0xFFFF, payload >> 16 & 7
    return Insulation(
        resistance_ohm=None if raw == SNA_INSULATION else raw * INSULATION_OHM,
        above_range=raw == INSULATION_ABOVE_RANGE,
        state=InsulationState(state) if state <= InsulationState.OFF else None,
    )


def encode_relay_request(closed: Set[Relay], alive: int) -> bytes:
    """Station to BMS: exactly these coils on."""
    payload = sum((relay in closed) << index for index, relay in enumerate(Relay))
    return seal(RELAY_REQUEST_ID, alive, payload, CORE_LENGTH[RELAY_REQUEST_ID])


def decode_relay_request(payload: int) -> frozenset[Relay]:
    """Coils that shall be on."""
    return frozenset(relay for index, relay in enumerate(Relay) if payload >> index & 1)


def requested_relays(data: bytes) -> frozenset[Relay]:
    """Coils a RelayRequest frame asks for, whether or not its check is right; none if it is too short."""
    return decode_relay_request(int.from_bytes(data, "little") >> PAYLOAD_BIT)
