"""The log of candump, as its option -L writes it, and as it stands on a screen.

    (1436509052.249713) vcan0 044#2A366C2BBA
    (1436509052.249713) vcan0 12345678##1112233 T
     (1436509052.249713)  vcan0  123   [3]  11 22 33

Data after two # are CAN FD, their first digit the flags; `R` in place of data is a remote frame; an identifier with the
error flag is an error frame, and lines behind it that begin with a tab explain it. T at the end is a frame the logger
sent. Lines that begin with # are comments.

Source: can-utils, lib.h and candump.c.
"""

from __future__ import annotations

import re

import numpy as np

from bmsctl.analysis.canlog.frames import WHY_SHOWN, BadLine, Frames
from bmsctl.analysis.canlog.readers import candump_lines as lines
from bmsctl.analysis.canlog.readers.collect import FD_BYTES, SPARE, TEXT_SHOWN

_LINE = re.compile(
    r"\(\d+[^)]*\)\s+\S+\s+[0-9A-F]{3,8}#|(\(\d[^)]*\)\s+)?\S+\s+([RT]X\s+\S\s+\S\s+)?[0-9A-F]{3,8}\s+\[\d{1,2}\]",
    re.ASCII | re.IGNORECASE,
)


def recognise(line: str) -> bool:
    """Whether a line is one of candump."""
    return _LINE.match(line) is not None


def read(data: bytes, name: str) -> Frames:
    """The frames of a log; a line without a time, which only a screen shows, gives a time of NaN.

    A date and time of day are taken as UTC. Times that candump writes as differences stay differences.
    """
    text = np.frombuffer(data if data.endswith(b"\n") else data + b"\n", np.uint8)
    room = int(np.count_nonzero(text == ord("\n")))
    time_s, can_id, bus = np.empty(room), np.empty(room, np.uint32), np.empty(room, np.uint16)
    length, start = np.empty(room, np.uint8), np.empty(room, np.int64)
    received, fd = np.empty(room, np.bool_), np.empty(room, np.bool_)
    content = np.empty(len(text) // 2 + FD_BYTES + SPARE, np.uint8)
    names = np.zeros((lines.BUSES_MAX, 2), np.int64)
    bad = np.zeros((WHY_SHOWN, 4), np.int64)
    counts = lines.parse(text, time_s, can_id, bus, length, start, received, fd, content, names, bad)
    frames, filled, malformed, errors, remotes, channels = (int(count) for count in counts)
    content[filled : filled + SPARE] = 0

    def shown(begin: int, end: int) -> str:
        return text[begin:end].tobytes().decode(errors="replace").strip()

    return Frames(
        time_s=time_s[:frames],
        can_id=can_id[:frames],
        bus=bus[:frames],
        length=length[:frames],
        start=start[:frames],
        data=content[: filled + SPARE],
        received=received[:frames],
        fd=fd[:frames],
        buses=tuple(shown(begin, end) for begin, end in names[:channels]),
        malformed_lines=malformed,
        bad_lines=tuple(
            BadLine(int(line), shown(begin, end)[:TEXT_SHOWN], lines.WHY[int(why)])
            for line, begin, end, why in bad[: min(malformed, WHY_SHOWN)]
        ),
        error_frames=errors,
        remote_frames=remotes,
    )


def warm_up() -> None:
    """Compile the parser into the cache."""
    read(b"(0.0) can0 123#00\n", "")
