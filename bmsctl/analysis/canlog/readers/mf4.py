"""MF4, the measurement file of ASAM, as far as it is a log of CAN buses: groups of raw frames.

Source: ASAM MDF 4.1, "Bus Logging"; asammdf reads the file.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.canlog.frames import EXTENDED, WHY_SHOWN, BadLine, Frames
from bmsctl.analysis.canlog.readers.collect import EXTENDED_MAX, FD_BYTES, SPARE, STANDARD_MAX, LogError

DATA, ERROR, REMOTE = "CAN_DataFrame", "CAN_ErrorFrame", "CAN_RemoteFrame"
ONE_BUS = 1
_HEADER_AT, _HEADER_BYTES = 64, 104
_HEADER_ID = b"##HD"


def read(data: bytes, name: str) -> Frames:
    """The frames of a log in the order of their times, which count from 1970.

    Raises:
        LogError: it has no header, asammdf is not installed or cannot read the file, or it has no groups of raw CAN
            frames.
    """
    if not data.startswith(_HEADER_ID, _HEADER_AT) or len(data) < _HEADER_AT + _HEADER_BYTES:
        raise LogError(f"{name}: has no header of an MF4 file; copy the log again, or convert it from MDF 3")
    try:
        from asammdf import MDF
    except ImportError as error:
        raise LogError(f"{name}: reading MF4 needs asammdf; install it with: pip install 'bmsctl[analysis]'") from error
    try:
        with MDF(BytesIO(data)) as file:
            start_s = file.header.start_time.timestamp()
            groups = [_Group(file, index, start_s) for index in range(len(file.groups))]
    # asammdf meets damage with whatever exception its own code runs into.
    except Exception as error:
        raise LogError(f"{name}: asammdf cannot read it: {error}; copy the log again") from error
    if not any(group.kind for group in groups):
        raise LogError(f"{name}: has no raw CAN frames; have the logger write bus logging, not signals")
    return _frames(groups)


class _Group:
    """What a group of channels holds, as columns; `kind` is None if it is no CAN bus logging."""

    def __init__(self, file: Any, index: int, start_s: float) -> None:
        names = {channel.name for channel in file.groups[index].channels}
        self.kind = next((kind for kind in (DATA, ERROR, REMOTE) if f"{kind}.ID" in names or kind in names), None)
        self.count = int(file.groups[index].channel_group.cycles_nr)
        if self.kind != DATA or not self.count:
            return

        def column(part: str, absent: int) -> NDArray[Any]:
            if f"{DATA}.{part}" not in names:
                return np.full(self.count, absent)
            return np.asarray(file.get(f"{DATA}.{part}", group=index, raw=True).samples)

        numbers = file.get(f"{DATA}.ID", group=index, raw=True)
        self.time_s = np.asarray(numbers.timestamps, np.float64) + start_s
        can_id = np.asarray(numbers.samples, np.int64)
        extended = column("IDE", 0).astype(np.bool_) | (can_id > STANDARD_MAX)
        can_id &= EXTENDED_MAX
        self.can_id = np.where(extended, can_id | int(EXTENDED), can_id).astype(np.uint32)
        self.bus = column("BusChannel", ONE_BUS).astype(np.int64)
        self.sent = column("Dir", 0).astype(np.bool_)
        self.fd = column("EDL", 0).astype(np.bool_)
        content = column("DataBytes", 0).astype(np.uint8).reshape(self.count, -1)
        self.content = np.zeros((self.count, FD_BYTES), np.uint8)
        carried = min(content.shape[1], FD_BYTES)
        self.content[:, :carried] = content[:, :carried]
        length = column("DataLength", carried).astype(np.int64)
        self.whole = (length >= 0) & (length <= carried)
        self.length = np.where(self.whole, length, 0).astype(np.uint8)


def _frames(groups: list[_Group]) -> Frames:
    found = [group for group in groups if group.kind == DATA and group.count]

    def joined(name: str, kind: type) -> NDArray[Any]:
        return (
            np.concatenate([np.asarray(getattr(group, name), kind) for group in found]) if found else np.empty(0, kind)
        )

    time_s, whole = joined("time_s", np.float64), joined("whole", np.bool_)
    order = np.argsort(time_s, kind="stable")
    order = order[whole[order]]
    length = joined("length", np.uint8)[order]
    start = np.zeros(len(order), np.int64)
    np.cumsum(length[:-1], out=start[1:], dtype=np.int64)
    numbers, bus = np.unique(joined("bus", np.int64)[order], return_inverse=True)
    content = np.concatenate([group.content for group in found]) if found else np.empty((0, FD_BYTES), np.uint8)
    used = np.arange(FD_BYTES) < length[:, None]
    bad = [BadLine(0, f"frame {place + 1}", "announces more data than it carries") for place in np.flatnonzero(~whole)]
    return Frames(
        time_s=time_s[order],
        can_id=joined("can_id", np.uint32)[order],
        bus=bus.astype(np.uint16),
        length=length,
        start=start,
        data=np.concatenate([content[order][used], np.zeros(SPARE, np.uint8)]),
        received=~joined("sent", np.bool_)[order],
        fd=joined("fd", np.bool_)[order],
        buses=tuple(str(number) for number in numbers),
        malformed_lines=len(bad),
        bad_lines=tuple(bad[:WHY_SHOWN]),
        error_frames=sum(group.count for group in groups if group.kind == ERROR),
        remote_frames=sum(group.count for group in groups if group.kind == REMOTE),
    )
