"""CRC-8/SAE-J1850 (polynomial 0x1D, initial value and final inversion 0xFF), one byte a table step."""

from __future__ import annotations

_POLYNOMIAL = 0x1D


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = (byte << 1) ^ _POLYNOMIAL if byte & 0x80 else byte << 1
    return byte & 0xFF


CRC8_TABLE = tuple(_remainder(byte) for byte in range(256))
"""What a byte, combined with the running remainder, leaves of it."""


def crc8(data: bytes, crc: int = 0x00) -> int:
    """CRC-8/SAE-J1850 of `data`; `crc` is the CRC of what went before, 0 for nothing."""
    table = CRC8_TABLE
    crc ^= 0xFF
    for byte in data:
        crc = table[crc ^ byte]
    return crc ^ 0xFF
