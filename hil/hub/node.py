"""A named controller on a channel: what it has sent, and what is done to its frames.

A node outlives its connections, so a disturbance also meets a client that closes its bus and opens it again.
Each disturbance counts frames from the moment it begins: nothing is random.
"""

from __future__ import annotations

from collections import deque

from hil.hub import packets

IDS_MAX = 1024
"""Different ids counted apart; the frames of further ones are summed up."""
OTHER_IDS = -1


class IdCount:
    """What a node has sent under one id."""

    __slots__ = ("bytes", "frames", "last")

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0
        self.last = b""


class Node:
    """Counters and disturbances of one name. Call `settle` after changing a disturbance."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ids: dict[int, IdCount] = {}
        self.dropped = 0
        self.bus_off = False
        self.muted = False
        self.deaf = False
        """Nothing arrives and nothing leaves."""
        self.disturbed = False
        """`outgoing` must be asked what becomes of a frame."""
        self.delay_ns = 0
        self._last_due_ns = 0
        self._drop_every = self._dropping = 0
        self._corrupt_every = self._corrupting = 0
        self._frozen: dict[int, bytes] = {}
        self._frames_behind = 0
        self._history: dict[int, deque[bytes]] = {}

    def drop_every(self, n: int) -> None:
        """Lose every `n`-th frame; 0 ends it."""
        self._drop_every, self._dropping = n, 0

    def corrupt(self, n: int) -> None:
        """Invert one byte of every `n`-th frame; 0 ends it."""
        self._corrupt_every, self._corrupting = n, 0

    def repeat(self, key: int, on: bool) -> None:
        """Replace all further frames of an id by the last one (by the next one, if there was none yet)."""
        if not on:
            self._frozen.pop(key, None)
        else:
            self._frozen[key] = self.ids[key].last if key in self.ids else b""

    def duplicate_of(self, frames_behind: int) -> None:
        """Let a second controller send the same ids, `frames_behind` transmissions behind; 0 ends it."""
        self._frames_behind = frames_behind
        self._history.clear()

    def settle(self) -> None:
        """Work out `deaf` and `disturbed`."""
        self.deaf = self.bus_off or self.muted
        self.disturbed = bool(
            self.deaf
            or self.delay_ns
            or self._last_due_ns
            or self._drop_every
            or self._corrupt_every
            or self._frozen
            or self._frames_behind
        )

    def count(self, key: int, packet: bytes) -> None:
        """Note a frame that the node sends."""
        entry = self.ids.get(key)
        if entry is None:
            if len(self.ids) >= IDS_MAX:
                key = OTHER_IDS
            entry = self.ids.setdefault(key, IdCount())
        entry.frames += 1
        entry.bytes += len(packet) - packets.DATA_AT
        entry.last = packet

    def outgoing(self, key: int, packet: bytes) -> list[bytes]:
        """The frames that reach the bus in place of one that the node sends."""
        if self.deaf:
            return []
        if self._drop_every:
            self._dropping += 1
            if self._dropping % self._drop_every == 0:
                return []
        if key in self._frozen:
            held = self._frozen[key] or packet
            self._frozen[key] = held
            packet = packets.restamped(held, packet)
        if self._corrupt_every:
            self._corrupting += 1
            turn, rest = divmod(self._corrupting, self._corrupt_every)
            if rest == 0:
                packet = _inverted(packet, turn - 1)
        if not self._frames_behind:
            return [packet]
        history = self._history.setdefault(key, deque())
        history.append(packet)
        if len(history) <= self._frames_behind:
            return [packet]
        return [packet, packets.restamped(history.popleft(), packet)]

    def due_ns(self, now_ns: int) -> int:
        """When a frame sent now arrives: never before one sent earlier."""
        due_ns = max(now_ns + self.delay_ns, self._last_due_ns)
        # Without a delay, the last delayed frame having arrived, the node is in order again.
        self._last_due_ns = due_ns if due_ns > now_ns else 0
        self.settle()
        return due_ns


def _inverted(packet: bytes, turn: int) -> bytes:
    """The frame with one data byte inverted, another one each turn; an empty one as it is."""
    length = len(packet) - packets.DATA_AT
    if not length:
        return packet
    at = packets.DATA_AT + turn % length
    return packet[:at] + bytes((packet[at] ^ 0xFF,)) + packet[at + 1 :]
