"""What all frames on the station's own CAN bus have in common: a seal, and a counter that must move.

500 kbit/s, 11-bit ids, 8 bytes, little endian. Byte 7 is the CRC-8/SAE-J1850 over the id (two bytes, high
byte first) and bytes 0 to 6, so a frame neither survives a flipped bit nor passes for one with another id.
"""

from __future__ import annotations

from bmsctl.protocols.checksum import CRC8_TABLE, crc8

FRAME_BYTES = 8
ALIVE_MASK = 0xF

_CLOSING = tuple(bytes((remainder ^ 0xFF,)) for remainder in range(256))
_RESIDUE = CRC8_TABLE[0xFF]
"""What remains of an undamaged frame when its CRC has gone through the table as well."""


class Seal:
    """The CRC of the frames of one id."""

    __slots__ = ("_after_id",)

    def __init__(self, can_id: int) -> None:
        self._after_id = crc8(can_id.to_bytes(2, "big")) ^ 0xFF

    def close(self, body: bytes) -> bytes:
        """`body`, 7 bytes, with its CRC."""
        table, remainder = CRC8_TABLE, self._after_id
        for byte in body:
            remainder = table[remainder ^ byte]
        return body + _CLOSING[remainder]

    def holds(self, data: bytes) -> bool:
        """Whether `data` is one whole, undamaged frame."""
        table, remainder = CRC8_TABLE, self._after_id
        for byte in data:
            remainder = table[remainder ^ byte]
        return remainder == _RESIDUE and len(data) == FRAME_BYTES


class AliveWatch:
    """Tells a new transmission of a cyclic frame from a repetition of the last one."""

    __slots__ = ("_alive", "_period_s", "_t_s")

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._alive: int | None = None
        self._t_s = 0.0

    def moved(self, alive: int, t_s: float) -> bool:
        """Whether the 4-bit counter went on since the frame looked at before.

        Frames in between need not have been seen: an equal counter is a repetition unless whole turns of
        the counter lie between.
        """
        same = alive == self._alive
        cycles = round((t_s - self._t_s) / self._period_s)
        self._alive, self._t_s = alive, t_s
        return not same or (cycles > 0 and cycles & ALIVE_MASK == 0)
