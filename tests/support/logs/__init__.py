"""Small logs of every text format, whole and damaged, and what they hold."""

from __future__ import annotations

from pathlib import Path

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
