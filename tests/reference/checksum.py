"""CRC-8 by long division."""

from __future__ import annotations


def long_division(data: bytes) -> int:
    """CRC-8/SAE-J1850 bit by bit: first eight bits inverted, divided by x^8+x^4+x^3+x^2+1, inverted."""
    dividend = (int.from_bytes(data) << 8) ^ (0xFF << 8 * len(data))
    for bit in range(8 * len(data) - 1, -1, -1):
        if dividend >> (bit + 8) & 1:
            dividend ^= 0x11D << bit
    return dividend ^ 0xFF
