"""ASC, the text log of Vector's tools: a line is an event with its time.

    0.015991 1  64x             Rx   d 8 00 01 02 03 04 05 06 07
    0.017225 CANFD   1 Rx        1C4   1 0 a 16 00 01 ... 0f  130000  130 303000 0 0 0 0 0
    2.501000 1  ErrorFrame

The header tells the base of the numbers, and whether times count from the beginning or from the event before. What the
log says of other buses, variables, markers and statistics is no frame and not counted; neither is a request to send
(TxRq), for the frame itself follows as Tx.

Source: Vector Informatik, "CAN, Log & Trigger ASC Logging Format", 1.4.
"""

from __future__ import annotations

import re

from bmsctl.analysis.canlog.frames import Frames
from bmsctl.analysis.canlog.readers.collect import (
    CLASSIC_BYTES,
    Collector,
    hex_bytes,
    identifier,
    number,
    read_lines,
    seconds,
)

FLAG_RTR = 0x0010
FLAG_EDL = 0x1000
"""Set in the flags of a CAN FD frame; a classic frame of a CAN FD channel lacks it."""

_BYTE_DIGITS_MAX = 3
"""Of a data byte in decimal; what may follow the data is longer: Length, BitCount."""

_HEADER = re.compile(
    r"//|date\s|base\s+(?:hex|dec)|(?:no\s+)?internal\s+events\s+logged|(?:begin|end)\s+triggerblock|previous log file",
    re.IGNORECASE,
)
_BASE = re.compile(r"base\s+(?P<base>hex|dec)(?:\s+timestamps\s+(?P<times>absolute|relative))?", re.IGNORECASE)
_OTHER = re.compile(
    r"start of measurement|can\s+\d+\s+status|\d+\s+(?:statistic|overloadframe|j1939tp|tfs)|j1939tp|sv:|ev:|gps|"
    r"comment|global ?marker|gm\b|log\s+(?:direct\s+)?(?:start|stop|trigger)|trigger|tfs:|l\d+\s|li\d+\s|fr\s|eth\s|"
    r"most\s|m\d+\s|afdx\s|a429\s|wlan\s|\S+\s*:=",
    re.IGNORECASE,
)


def recognise(line: str) -> bool:
    """Whether a line is of this format's header."""
    return _HEADER.match(line) is not None and not line.startswith("//")


class _Log:
    """What the header has said so far, the time, and the frames."""

    def __init__(self) -> None:
        self.found = Collector()
        self._base = 16
        self._relative = False
        self._time_s = 0.0

    def take(self, line: str) -> None:
        """One line."""
        if _HEADER.match(line):
            self._header(line)
            return
        told, _, event = line.partition(" ")
        told_s = seconds(told)
        event = event.lstrip()
        self._time_s = self._time_s + told_s if self._relative else told_s
        fields = event.split()
        if fields and fields[0].upper() == "CANFD":
            self._fd_frame(fields[1:])
        elif _OTHER.match(event) is None:
            self._classic_frame(fields)

    def _header(self, line: str) -> None:
        head = _BASE.match(line)
        if head:
            self._base = 16 if head["base"].lower() == "hex" else 10
            self._relative = (head["times"] or "").lower() == "relative"

    def _classic_frame(self, fields: list[str]) -> None:
        """Channel, identifier, direction, d or r, data length code, data."""
        if len(fields) < 2 or not fields[0].isdecimal():
            raise ValueError("is no event of ASC")
        if fields[1].lower().startswith("errorframe"):
            self.found.error_frames += 1
            return
        if len(fields) < 4:
            raise ValueError("is too short for a frame")
        channel, name, direction, kind = fields[:4]
        can_id, received = self._identifier(name), self._received(direction)
        if received is None:
            return
        if kind.lower() == "r":
            self.found.remote_frames += 1
            return
        if kind.lower() != "d" or len(fields) < 5:
            raise ValueError("is neither data frame nor remote frame")
        code = number(fields[4], self._base, "data length code")
        if code > 15:
            raise ValueError(f"data length code {code} is above 15")
        data = self._data(fields[5:], min(code, CLASSIC_BYTES))
        after = 5 + len(data)
        if len(fields) > after and len(fields[after]) <= _BYTE_DIGITS_MAX:
            raise ValueError("goes on behind the data of the frame")
        self.found.frame(self._time_s, can_id, channel, data, received=received)

    def _fd_frame(self, fields: list[str]) -> None:
        """Channel, direction, identifier, name if it has one, two switches, data length code, length, data, and
        after two further fields the flags."""
        if len(fields) < 3:
            raise ValueError("is too short for a frame")
        channel, direction, name = fields[:3]
        if name.lower().startswith("errorframe"):
            self.found.error_frames += 1
            return
        can_id, received = self._identifier(name), self._received(direction)
        if received is None:
            return
        rest = fields[3:] if fields[3:4] in (["0"], ["1"]) else fields[4:]
        if len(rest) < 4:
            raise ValueError("is too short for a frame")
        code, count = number(rest[2], self._base, "data length code"), number(rest[3], 10, "data length")
        after = rest[4 + count :]
        flags = number(after[2], 16, "flags") if len(after) > 2 else FLAG_EDL
        if flags & FLAG_RTR or (count == 0 and code > 0):
            self.found.remote_frames += 1
            return
        data = self._data(rest[4:], count)
        self.found.frame(self._time_s, can_id, channel, data, received=received, fd=bool(flags & FLAG_EDL))

    def _identifier(self, text: str) -> int:
        extended = text[-1] in "xX"
        return identifier(number(text[:-1] if extended else text, self._base, "identifier"), extended)

    def _received(self, direction: str) -> bool | None:
        """None for a request to send."""
        try:
            return {"rx": True, "tx": False, "txrq": None}[direction.lower()]
        except KeyError:
            raise ValueError(f"direction {direction!r} is not known") from None

    def _data(self, texts: list[str], count: int) -> bytes:
        if self._base == 16:
            return hex_bytes(texts, count)
        if len(texts) < count:
            raise ValueError(f"{len(texts)} of {count} data bytes")
        values = [number(text, 10, "data byte") for text in texts[:count]]
        if any(value > 0xFF for value in values):
            raise ValueError(f"data byte {max(values)} is above 255")
        return bytes(values)


def read(data: bytes, name: str) -> Frames:
    """The frames of a log; times are seconds from the beginning of the measurement.

    A frame whose identifier is logged as a name only is malformed: the number is not in the log.
    """
    log = _Log()
    read_lines(data, log.found, log.take)
    return log.found.frames()
