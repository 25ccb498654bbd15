"""CRC-16 of Modbus bit by bit, as the serial line guide's appendix B describes it."""

from __future__ import annotations


def crc16_bitwise(data: bytes) -> int:
    """Shift right; what falls out flips the bits of 0xA001."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            carry = crc & 1
            crc >>= 1
            if carry:
                crc ^= 0xA001
    return crc
