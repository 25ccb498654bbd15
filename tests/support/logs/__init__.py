"""Small logs of every text format, whole and damaged, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import can
import numpy as np

from bmsctl.analysis.canlog.frames import Frames

FOLDER = Path(__file__).parent


def rows(frames: Frames) -> list[tuple[str, int, str]]:
    """Channel, identifier and data in hexadecimal of each frame."""
    return [
        (frames.buses[frames.bus[i]], int(frames.can_id[i]), data_of(frames, i).hex().upper())
        for i in range(frames.count)
    ]


def data_of(frames: Frames, index: int) -> bytes:
    """The data of one frame."""
    begin = int(frames.start[index])
    return frames.data[begin : begin + int(frames.length[index])].tobytes()


def whys(frames: Frames) -> list[tuple[int, str]]:
    """Line and reason of each that is no frame."""
    return [(bad.line, bad.why) for bad in frames.bad_lines]


def drawn_messages(seed: int, count: int, channels: int = 2) -> Iterator[can.Message]:
    """Classic and CAN FD messages of all kinds, a millisecond apart, for a writer of python-can."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        extended, fd = bool(rng.integers(2)), bool(rng.integers(2))
        yield can.Message(
            timestamp=1.7e9 + number * 1e-3,
            arbitration_id=int(rng.integers(1 << (29 if extended else 11))),
            is_extended_id=extended,
            is_fd=fd,
            data=rng.bytes(int(rng.choice((0, 1, 8, 64) if fd else (0, 3, 8)))),
            is_rx=bool(rng.integers(2)),
            channel=int(rng.integers(channels)),
        )
