"""BLF, the binary log of Vector's tools: objects with a header, most of them packed into compressed containers.

What is damaged is skipped to the next object that can be found, and counted once each time. Objects of other buses,
statistics and markers are no frames and not counted.

Source: python-can, io/blf.py, and Vector's binlog_objects.h for the layouts; the format itself is not published.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from bmsctl.analysis.canlog.frames import Frames
from bmsctl.analysis.canlog.readers.collect import CLASSIC_BYTES, Collector, LogError, identifier

SIGNATURE = b"LOGG"
OBJECT = b"LOBJ"

CAN_MESSAGE, CAN_ERROR, CONTAINER, CAN_ERROR_EXT, CAN_MESSAGE2, CAN_FD_MESSAGE, CAN_FD_MESSAGE_64 = (
    1,
    2,
    10,
    73,
    86,
    100,
    101,
)
STORED, DEFLATED = 0, 2
PADDING_MAX = 3
"""Bytes between two objects, whatever they are."""
OBJECT_BYTES_MAX = 1 << 22
"""A size beyond this, inside of containers, is damage."""

_FILE = struct.Struct("<4sL32x8H")
"""Signature, size of the header, and the time the log began at."""
_BASE = struct.Struct("<4sHHLL")
"""Signature, size and version of the header, size and type of the object."""
_STAMP = struct.Struct("<L4xQ")
"""Flags and time."""
_CONTAINER = struct.Struct("<H6xL4x")
"""Method, size of the content."""
_MESSAGE = struct.Struct("<HBBL8s")
"""Channel, flags, data length code, identifier, data."""
_FD_MESSAGE = struct.Struct("<HBBL5xBB5x64s")
"""Channel, flags, data length code, identifier, flags of CAN FD, valid bytes, data."""
_FD_MESSAGE_64 = struct.Struct("<BBBxL4xL16xHBB4x")
"""Channel, data length code, valid bytes, identifier, flags of CAN FD, bits, direction, where extra data begin."""

_TEN_US, _PER_S = 1, {True: 1e5, False: 1e9}
_EXTENDED = 1 << 31
_ID_BITS = 0x1FFFFFFF
_SENT, _REMOTE = 0x01, 0x80
_FD_EDL = 0x01
_FD64_REMOTE, _FD64_EDL = 0x0010, 0x1000


class _Object(NamedTuple):
    """An object: its type, where it, its time and its content begin, where it ends, and whether all of it is there."""

    kind: int
    at: int
    stamp: int
    body: int
    end: int
    whole: bool


class _Log:
    """The frames so far, and the part of an object whose rest is in the next container."""

    def __init__(self, start_s: float) -> None:
        self.found = Collector()
        self._start_s = start_s
        self._rest = b""

    def file(self, data: bytes, at: int) -> None:
        """The objects of a file from behind its header."""
        for each in self._objects(data, at, "file", whole=True):
            if each.kind == CONTAINER:
                self._container(data, each)
            else:
                self._take(data, each, "file")
        if self._rest:
            self.found.malformed(0, f"the last {len(self._rest)} bytes of the containers", "is cut off")

    def _container(self, data: bytes, each: _Object) -> None:
        text = f"container at byte {each.at} of the file"
        begin = each.at + _BASE.size + _CONTAINER.size
        if begin > each.end:
            self.found.malformed(0, text, "is too short")
            return
        whole = each.whole
        method, _ = _CONTAINER.unpack_from(data, each.at + _BASE.size)
        content = data[begin : each.end]
        if method == DEFLATED:
            packed = zlib.decompressobj()
            try:
                content = packed.decompress(content)
            except zlib.error as error:
                self.found.malformed(0, text, f"cannot be unpacked: {error}")
                self._rest = b""
                return
            whole = whole and packed.eof and len(packed.unused_data) <= PADDING_MAX
        elif method != STORED:
            self.found.malformed(0, text, f"is packed by method {method}, which is not known")
            self._rest = b""
            return
        if not whole:
            self.found.malformed(0, text, "is cut off, or its size is wrong")
        stream = self._rest + content
        self._rest = b""
        for inner in self._objects(stream, 0, text, whole=False):
            self._take(stream, inner, text)

    def _objects(self, data: bytes, at: int, where: str, *, whole: bool) -> Iterator[_Object]:
        """Each object from `at`; the begin of one whose rest is missing is kept, or counted if `whole`."""
        while True:
            begin = data.find(OBJECT, at)
            if begin < 0:
                left = data[at:]
                if not whole and len(left) < _BASE.size:
                    self._rest = left if left.strip(b"\0") else b""
                elif left.strip(b"\0"):
                    self.found.malformed(0, f"{len(left)} bytes at byte {at} of the {where}", "is no object")
                return
            if begin - at > PADDING_MAX and data[at:begin].strip(b"\0"):
                self.found.malformed(0, f"{begin - at} bytes at byte {at} of the {where}", "is no object")
            at = begin
            known = at + _BASE.size <= len(data)
            _, head, _, size, kind = _BASE.unpack_from(data, at) if known else (b"", 0, 0, _BASE.size, 0)
            if not known or (at + size > len(data) and (whole or size <= OBJECT_BYTES_MAX)):
                if not whole:
                    self._rest = data[at:]
                    return
                if kind == CONTAINER:
                    yield _Object(kind, at, at + _BASE.size, at + _BASE.size, len(data), False)
                else:
                    self.found.malformed(0, f"object of type {kind} at byte {at} of the {where}", "is cut off")
                return
            if size < _BASE.size or head < _BASE.size or at + size > len(data):
                self.found.malformed(0, f"object of type {kind} at byte {at} of the {where}", "has no possible size")
                at += len(OBJECT)
                continue
            yield _Object(kind, at, at + _BASE.size, at + head, at + size, True)
            at += size

    def _take(self, data: bytes, each: _Object, where: str) -> None:
        """Count an object, or add it as a frame."""
        reader = _READERS.get(each.kind)
        if reader is None:
            return
        try:
            if not each.stamp + _STAMP.size <= each.body <= each.end:
                raise ValueError("has no time")
            flags, ticks = _STAMP.unpack_from(data, each.stamp)
            time_s = self._start_s + ticks / _PER_S[flags == _TEN_US]
            reader(self.found, time_s, data, each)
        except ValueError as error:
            self.found.malformed(0, f"object of type {each.kind} at byte {each.at} of the {where}", str(error))


def _fields(layout: struct.Struct, data: bytes, each: _Object) -> tuple[int, ...]:
    if each.body + layout.size > each.end:
        raise ValueError("is too short")
    return layout.unpack_from(data, each.body)


def _error(found: Collector, time_s: float, data: bytes, each: _Object) -> None:
    found.error_frames += 1


def _message(found: Collector, time_s: float, data: bytes, each: _Object) -> None:
    channel, flags, code, can_id, *_ = _fields(_MESSAGE, data, each)
    if flags & _REMOTE:
        found.remote_frames += 1
        return
    begin = each.body + _MESSAGE.size - CLASSIC_BYTES
    _frame(found, time_s, can_id, channel, data[begin : begin + min(code, CLASSIC_BYTES)], sent=flags & _SENT, fd=0)


def _fd_message(found: Collector, time_s: float, data: bytes, each: _Object) -> None:
    channel, flags, _, can_id, fd_flags, valid, *_ = _fields(_FD_MESSAGE, data, each)
    if flags & _REMOTE:
        found.remote_frames += 1
        return
    begin = each.body + _FD_MESSAGE.size - 64
    _frame(found, time_s, can_id, channel, data[begin : begin + valid], sent=flags & _SENT, fd=fd_flags & _FD_EDL)


def _fd_message_64(found: Collector, time_s: float, data: bytes, each: _Object) -> None:
    channel, _, valid, can_id, fd_flags, _, direction, extra = _fields(_FD_MESSAGE_64, data, each)
    if fd_flags & _FD64_REMOTE:
        found.remote_frames += 1
        return
    begin = each.body + _FD_MESSAGE_64.size
    end = min(each.at + extra if extra else each.end, each.end)
    content = data[begin : min(begin + valid, end)].ljust(valid, b"\0")
    _frame(found, time_s, can_id, channel, content, sent=direction, fd=fd_flags & _FD64_EDL)


def _frame(found: Collector, time_s: float, can_id: int, channel: int, data: bytes, *, sent: int, fd: int) -> None:
    number = identifier(can_id & _ID_BITS, bool(can_id & _EXTENDED))
    found.frame(time_s, number, str(channel), data, received=not sent, fd=bool(fd))


_READERS = {
    CAN_MESSAGE: _message,
    CAN_MESSAGE2: _message,
    CAN_ERROR: _error,
    CAN_ERROR_EXT: _error,
    CAN_FD_MESSAGE: _fd_message,
    CAN_FD_MESSAGE_64: _fd_message_64,
}


def _start_s(fields: tuple[int, ...]) -> float:
    """Seconds since 1970 of a SYSTEMTIME, 0 if it is no date."""
    year, month, _, day, hour, minute, second, milliseconds = fields
    try:
        return datetime(year, month, day, hour, minute, second, milliseconds * 1000, UTC).timestamp()
    except ValueError:
        return 0.0


def read(data: bytes, name: str) -> Frames:
    """The frames of a log; times count from 1970 where the header tells the start, else from the beginning.

    Data bytes that a CAN FD object announces but does not carry are 0, as Vector's own tools read them.

    Raises:
        LogError: there is no header of this format.
    """
    if len(data) < _FILE.size or not data.startswith(SIGNATURE):
        raise LogError(f"{name}: has no header of a BLF file; copy the log again")
    _, head, *start = _FILE.unpack_from(data)
    log = _Log(_start_s(tuple(start)))
    if head > len(data):
        log.found.malformed(0, "the header of the file", "is cut off")
    log.file(data, max(head, _FILE.size))
    return log.found.frames()
