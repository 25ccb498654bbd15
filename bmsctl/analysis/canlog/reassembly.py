"""ISO 15765-2 messages from the frames of a log: heard, not taken part in.

A listener cannot ask for anything again. What is missing, out of order or too late ends the message and is named once;
the consecutive frames that still follow belong to the same fault.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from bmsctl.protocols.isotp import N_CR_S

CLASSIC_BYTES = 8

_SINGLE, _FIRST, _CONSECUTIVE, _FLOW_CONTROL = 0, 1, 2, 3
_CONTINUE, _WAIT, _OVERFLOW = 0, 1, 2


class FaultKind(StrEnum):
    """How a message, or a part of one, is lost."""

    ORPHAN = "consecutive frame without a first frame"
    MISSING = "consecutive frame missing"
    INTERRUPTED = "new message before the end of the last"
    LATE = "consecutive frame late"
    OVERFLOW = "receiver without room"
    CUT_OFF = "log ends inside of a message"
    MALFORMED = "no frame of ISO 15765-2"


class Fault(NamedTuple):
    """When a fault was seen, on which identifier, and its details in words."""

    time_s: float
    can_id: int
    kind: FaultKind
    text: str


class Message(NamedTuple):
    """A whole message, and the times of its first and last frame."""

    time_s: float
    end_s: float
    data: bytes


class Reassembler:
    """One direction of one connection."""

    def __init__(self, can_id: int, faults: list[Fault], room: int = CLASSIC_BYTES) -> None:
        """`faults`: what is lost is appended here. `room`: bytes of a classic frame that are not an address."""
        self._can_id = can_id
        self._faults = faults
        self._room = room
        self._full = room
        self._data = bytearray()
        self._length = 0
        self._sequence = 0
        self._began_s = 0.0
        self._last_s = 0.0
        self._astray = False

    def frame(self, time_s: float, data: bytes) -> Message | None:
        """Take a frame of the sender, without its address byte; the message if this completes one.

        A time of NaN is never late.
        """
        kind = data[0] >> 4 if data else -1
        if kind == _CONSECUTIVE:
            return self._consecutive(time_s, data)
        if kind in (_SINGLE, _FIRST):
            if self._length:
                self._lose(time_s, FaultKind.INTERRUPTED, self._progress())
            self._astray = False
            if kind == _SINGLE:
                return self._single(time_s, data)
            self._first(time_s, data)
        else:
            self._malformed(time_s, data)
        return None

    def flow_control(self, time_s: float, data: bytes) -> None:
        """Take a flow control of the receiver."""
        status = data[0] & 0xF
        if len(data) < 3 or status > _OVERFLOW:
            self._malformed(time_s, data)
        elif self._length and status == _OVERFLOW:
            self._lose(time_s, FaultKind.OVERFLOW, self._progress())
        elif self._length:
            self._last_s = time_s

    def end(self, time_s: float) -> None:
        """The log ends here."""
        if self._length:
            self._lose(time_s, FaultKind.CUT_OFF, self._progress())

    def _single(self, time_s: float, data: bytes) -> Message | None:
        length, head = data[0] & 0xF, 1
        if len(data) > self._room:
            length, head = (data[1], 2) if length == 0 else (0, 1)
        if not 0 < length <= len(data) - head:
            self._malformed(time_s, data)
            return None
        return Message(time_s, time_s, data[head : head + length])

    def _first(self, time_s: float, data: bytes) -> None:
        """A first frame is full, and its message does not fit a single frame."""
        if len(data) < self._room:
            self._malformed(time_s, data)
            return
        length, head = (data[0] & 0xF) << 8 | data[1], 2
        if length == 0:
            length, head = int.from_bytes(data[2:6]), 6
        if length < len(data) - (len(data) > self._room):
            self._malformed(time_s, data)
            return
        self._length, self._data, self._sequence, self._full = length, bytearray(data[head:]), 1, len(data)
        self._began_s = self._last_s = time_s

    def _consecutive(self, time_s: float, data: bytes) -> Message | None:
        if not self._length:
            if not self._astray:
                self._lose(time_s, FaultKind.ORPHAN, data.hex(" ").upper())
            return None
        if time_s - self._last_s > N_CR_S:
            self._lose(time_s, FaultKind.LATE, f"{time_s - self._last_s:.3f} s, {self._progress()}")
            return None
        sequence = data[0] & 0xF
        if sequence != self._sequence:
            self._lose(time_s, FaultKind.MISSING, f"{sequence} came where {self._sequence} was due, {self._progress()}")
            return None
        missing = self._length - len(self._data)
        if len(data) - 1 < min(missing, self._full - 1):
            self._lose(time_s, FaultKind.MALFORMED, f"{data.hex(' ').upper()} is too short, {self._progress()}")
            return None
        self._data += data[1 : 1 + missing]
        self._sequence = sequence + 1 & 0xF
        self._last_s = time_s
        if len(self._data) < self._length:
            return None
        self._length = 0
        return Message(self._began_s, time_s, bytes(self._data))

    def _progress(self) -> str:
        return f"{len(self._data)} of {self._length} bytes had come"

    def _malformed(self, time_s: float, data: bytes) -> None:
        self._faults.append(Fault(time_s, self._can_id, FaultKind.MALFORMED, data.hex(" ").upper() or "no data"))

    def _lose(self, time_s: float, kind: FaultKind, text: str) -> None:
        self._faults.append(Fault(time_s, self._can_id, kind, text))
        self._length = 0
        self._astray = True
