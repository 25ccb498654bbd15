"""Frames of a CAN log as columns: what readers make, and decoders and transcripts use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EXTENDED = np.uint32(1 << 31)
"""Set in an identifier of 29 bits, as in a DBC."""
WHY_SHOWN = 10


class BadLine(NamedTuple):
    """A line of a log that is no frame: its number from 1 (0 where the format has no lines), the text, and why."""

    line: int
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Frames:
    """Data frames in the order of the log.

    time_s: (n,) float64, seconds as the log tells them: absolute or from its beginning; NaN where it tells none.
    can_id: (n,) uint32, 11 or 29 bits, with EXTENDED for 29 bits.
    bus: (n,) uint16, index into `buses`.
    length: (n,) uint8, data bytes.
    start: (n,) int64, where the frame's data begin in `data`.
    data: (m,) uint8, at least 8 bytes longer than the last frame, so that a word can be read at any start.
    received: (n,) bool, False for frames the logger sent itself, where the format tells; else True.
    fd: (n,) bool, CAN FD frames.
    buses: names of the channels.
    malformed_lines: how many lines are neither frame nor comment; the first WHY_SHOWN are in `bad_lines`.
    error_frames, remote_frames: how many; they carry no data and are not in the columns.
    """

    time_s: NDArray[np.float64]
    can_id: NDArray[np.uint32]
    bus: NDArray[np.uint16]
    length: NDArray[np.uint8]
    start: NDArray[np.int64]
    data: NDArray[np.uint8]
    received: NDArray[np.bool_]
    fd: NDArray[np.bool_]
    buses: tuple[str, ...]
    malformed_lines: int
    bad_lines: tuple[BadLine, ...]
    error_frames: int
    remote_frames: int

    @property
    def count(self) -> int:
        """Data frames."""
        return len(self.time_s)

    @property
    def times_back(self) -> int:
        """How often a frame's time is before that of the frame in front of it, whatever their buses."""
        return int(np.count_nonzero(self.time_s[1:] < self.time_s[:-1]))
