"""Frames that the hub sends by itself to fill a channel."""

from __future__ import annotations

from collections.abc import Iterator

from hil.hub import packets

BURST_S = 0.02
"""After a stall of the machine, no more than the frames of this time follow at once: a bus has no backlog."""


class Flood:
    """`frames_per_s` frames of 8 bytes with one id; their data count them."""

    def __init__(self, frames_per_s: int, can_id: int, now_ns: int) -> None:
        extended = can_id > packets.STANDARD_ID_MAX
        self._flags = packets.EXTENDED if extended else 0
        self._can_id = can_id
        self._rate = frames_per_s
        self._since_ns = now_ns
        self._number = 0
        self.key = can_id | packets.EXTENDED_KEY if extended else can_id

    def due_ns(self) -> int:
        """When the next frame is due."""
        return self._since_ns + (self._number + 1) * 1_000_000_000 // self._rate

    def due(self, now_ns: int) -> Iterator[bytes]:
        """The frames due by now; those that a stall has made late are skipped."""
        until = (now_ns - self._since_ns) * self._rate // 1_000_000_000
        self._number = max(self._number, until - max(1, round(BURST_S * self._rate)))
        while self._number < until:
            self._number += 1
            yield packets.frame(self._flags, 8, self._can_id, self._number.to_bytes(8, "little"), now_ns)
