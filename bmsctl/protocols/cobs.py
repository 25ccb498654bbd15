"""Consistent overhead byte stuffing: any bytes as bytes without zero, so that a zero can end every frame.

Source: Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999.
"""

from __future__ import annotations

_RUN_MAX = 254
_CODES = tuple(bytes([code]) for code in range(256))


def encode(data: bytes) -> bytes:
    """Stuff `data`; the result holds no zero byte, the delimiter is not included."""
    pieces: list[bytes] = []
    runs = data.split(b"\0")
    last = len(runs) - 1
    for index, run in enumerate(runs):
        full = len(run) >= _RUN_MAX
        while len(run) >= _RUN_MAX:
            pieces += (b"\xff", run[:_RUN_MAX])
            run = run[_RUN_MAX:]
        if run or not full or index != last:
            pieces += (_CODES[len(run) + 1], run)
    return b"".join(pieces)


def decode(stuffed: bytes) -> bytes | None:
    """What was stuffed; None if `stuffed` is empty, holds a zero byte or ends within a run."""
    if not stuffed or 0 in stuffed:
        return None
    pieces: list[bytes] = []
    at, end = 0, len(stuffed)
    while at < end:
        code = stuffed[at]
        next_at = at + code
        pieces.append(stuffed[at + 1 : next_at])
        if code <= _RUN_MAX and next_at < end:
            pieces.append(b"\0")
        at = next_at
    return b"".join(pieces) if at == end else None
