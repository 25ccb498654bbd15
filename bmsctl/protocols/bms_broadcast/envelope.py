"""The envelope of every frame: CRC and alive counter around a payload.

Little endian. Byte 0 is the CRC-8/SAE-J1850 over the identifier (low byte, high byte) and bytes 1 to the end; bits 8
to 11 are the alive counter; the payload begins at bit 12. Identifiers have 11 bits.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import NamedTuple

from bmsctl.protocols.checksum import CRC8_TABLE, crc8

PAYLOAD_BIT = 12
"""Where the payload begins."""
CLASSIC_LENGTH = 8
"""Bytes of the longest classic frame."""

_CRC_START = tuple(crc8(can_id.to_bytes(2, "little")) ^ 0xFF for can_id in range(1 << 11))
"""Remainder that an identifier leaves."""
_BODY_BYTES = CLASSIC_LENGTH - 1
"""After the CRC, in the longest classic frame."""


def _left(remainder: int, bytes_later: int) -> int:
    """What a remainder has become after so many zero bytes."""
    for _ in range(bytes_later):
        remainder = CRC8_TABLE[remainder]
    return remainder


_LEFT_BY_BYTE = tuple(bytes(_left(byte, _BODY_BYTES - at) for byte in range(256)) for at in range(_BODY_BYTES))
"""What a byte alone leaves of the CRC, by where it is."""


class Sealed(NamedTuple):
    """A frame that passed its check."""

    alive: int
    payload: int


def seal(can_id: int, alive: int, payload: int, length: int) -> bytes:
    """A frame's `length` bytes of data: CRC, alive counter (modulo 16), payload."""
    body = ((alive & 0xF) | payload << 4).to_bytes(length - 1, "little")
    table, crc = CRC8_TABLE, _CRC_START[can_id]
    for byte in body:
        crc = table[crc ^ byte]
    return bytes((crc ^ 0xFF,)) + body


def unseal(can_id: int, data: bytes, length: int) -> Sealed | None:
    """Alive counter and payload, or None if length or CRC is wrong."""
    if len(data) != length:
        return None
    table, crc = CRC8_TABLE, _CRC_START[can_id]
    for byte in data[1:]:
        crc = table[crc ^ byte]
    if crc ^ 0xFF != data[0]:
        return None
    body = int.from_bytes(data[1:], "little")
    return Sealed(body & 0xF, body >> 4)


def seal_burst(can_ids: Sequence[int], alive: int, payloads: Sequence[int], length: int) -> list[bytes]:
    """As `seal` for frames of the same length that are sent together."""
    if length != CLASSIC_LENGTH:
        return [seal(can_id, alive, payload, length) for can_id, payload in zip(can_ids, payloads, strict=True)]
    counter = (alive & 0xF) << 8
    data = bytearray(struct.pack(f"<{len(payloads)}Q", *[payload << 12 | counter for payload in payloads]))
    data[0::8] = _burst_crcs(tuple(can_ids), data)
    sealed = bytes(data)
    return [sealed[at : at + 8] for at in range(0, len(sealed), 8)]


def unseal_burst(can_ids: Sequence[int], frames: Sequence[bytes], length: int) -> list[tuple[int, int] | None]:
    """As `unseal` for frames of the same length that were sent together."""
    data = b"".join(frames)
    classic = length == CLASSIC_LENGTH and set(map(len, frames)) == {CLASSIC_LENGTH}
    if not classic or data[0::8] != _burst_crcs(tuple(can_ids), data):
        return [unseal(can_id, one, length) for can_id, one in zip(can_ids, frames, strict=True)]
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
