"""What every reader does alike: gather frames, count what is none, and say why."""

from __future__ import annotations

import io
import re
from array import array
from collections.abc import Callable

import numpy as np

from bmsctl.analysis.canlog.frames import EXTENDED, WHY_SHOWN, BadLine, Frames
from bmsctl.errors import BmsctlError

STANDARD_MAX = 0x7FF
EXTENDED_MAX = 0x1FFFFFFF
CLASSIC_BYTES = 8
FD_LENGTHS = (*range(8), *range(8, 24, 4), 24, 32, 48, 64)
"""Data bytes of a CAN FD frame by its data length code (ISO 11898-1)."""
FD_BYTES = FD_LENGTHS[-1]
SPARE = 8
"""Bytes behind the data of the last frame, so that a word can be read at any start."""
TEXT_SHOWN = 120
"""Characters of a line that is shown."""
_DECIMAL = re.compile(r"\d{1,15}(?:\.\d*)?", re.ASCII)


class LogError(BmsctlError):
    """A log cannot be read at all; the text names the file and what to do."""


class Collector:
    """Frames and counts as a reader meets them."""

    def __init__(self) -> None:
        self.error_frames = 0
        self.remote_frames = 0
        self._time_s = array("d")
        self._can_id = array("I")
        self._bus = array("H")
        self._length = array("B")
        self._received = array("B")
        self._fd = array("B")
        self._data = bytearray()
        self._buses: dict[str, int] = {}
        self._malformed = 0
        self._bad: list[BadLine] = []

    def frame(
        self, time_s: float, can_id: int, bus: str, data: bytes, *, received: bool = True, fd: bool = False
    ) -> None:
        """Add a data frame; `can_id` as `identifier` gives it.

        Raises:
            ValueError: more data than such a frame can carry, or more channels than can be numbered.
        """
        most = FD_BYTES if fd else CLASSIC_BYTES
        if len(data) > most:
            raise ValueError(f"{len(data)} data bytes; such a frame has at most {most}")
        number = self._buses.setdefault(bus, len(self._buses))
        self._bus.append(number)
        self._time_s.append(time_s)
        self._can_id.append(can_id)
        self._length.append(len(data))
        self._received.append(received)
        self._fd.append(fd)
        self._data += data

    def malformed(self, line: int, text: str, why: str) -> None:
        """Count what is neither frame nor comment."""
        self._malformed += 1
        if len(self._bad) < WHY_SHOWN:
            self._bad.append(BadLine(line, text[:TEXT_SHOWN], why))

    def frames(self) -> Frames:
        """All that was gathered."""
        length = np.array(self._length, np.uint8)
        start = np.zeros(len(length), np.int64)
        np.cumsum(length[:-1], out=start[1:], dtype=np.int64)
        return Frames(
            time_s=np.array(self._time_s, np.float64),
            can_id=np.array(self._can_id, np.uint32),
            bus=np.array(self._bus, np.uint16),
            length=length,
            start=start,
            data=np.frombuffer(bytes(self._data) + bytes(SPARE), np.uint8),
            received=np.array(self._received, np.bool_),
            fd=np.array(self._fd, np.bool_),
            buses=tuple(self._buses),
            malformed_lines=self._malformed,
            bad_lines=tuple(self._bad),
            error_frames=self.error_frames,
            remote_frames=self.remote_frames,
        )


def identifier(number: int, extended: bool) -> int:
    """An identifier as columns carry it.

    Raises:
        ValueError: it has more bits than it may.
    """
    if number > (EXTENDED_MAX if extended else STANDARD_MAX):
        raise ValueError(f"identifier {number:X} has more than {'29' if extended else '11'} bits")
    return number | int(EXTENDED) if extended else number


def read_lines(data: bytes, found: Collector, take: Callable[[str], None]) -> None:
    """Give each line that is not blank to `take`, stripped; where that raises ValueError, the line is malformed."""
    for number, raw in enumerate(io.BytesIO(data), 1):
        text = raw.decode(errors="replace").strip()
        if not text:
            continue
        try:
            take(text)
        except ValueError as error:
            found.malformed(number, text, str(error))


def number(text: str, base: int, what: str) -> int:
    """An unsigned number of plain ASCII digits.

    Raises:
        ValueError: it is none; `what` names it.
    """
    if not (text.isascii() and text.isalnum()):
        raise ValueError(f"{what} {text!r} is no number")
    try:
        return int(text, base)
    except ValueError:
        raise ValueError(f"{what} {text!r} is no number of base {base}") from None


def seconds(text: str) -> float:
    """A time in seconds, or in the unit it is written in.

    Raises:
        ValueError: it is no plain decimal number.
    """
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no time")
    return float(text)


def hex_bytes(texts: list[str], count: int) -> bytes:
    """`count` data bytes, each of two hexadecimal digits.

    Raises:
        ValueError: another number of them, or one that is no byte.
    """
    if len(texts) < count:
        raise ValueError(f"{len(texts)} of {count} data bytes")
    used = " ".join(texts[:count])
    try:
        data = bytes.fromhex(used)
    except ValueError:
        data = b""
    if len(data) != count or len(used) != max(3 * count - 1, 0):
        raise ValueError(f"{used!r} are no data bytes of two hexadecimal digits")
    return data
