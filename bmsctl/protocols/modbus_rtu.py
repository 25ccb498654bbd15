"""Modbus over a serial line (RTU): reading and writing registers, from both ends.

A telegram is unit, function, body and a CRC-16, low byte first; registers are 16 bit, high byte first. RTU parts
telegrams by silence on the line. Here they are found by what they must look like, so bytes that were lost or came
from nowhere spoil one telegram and never the next. An answer has no number of its own: what tells a late one from the
answer awaited must be in its registers.

Source: Modbus Application Protocol Specification V1.1b3; Modbus over Serial Line, Specification and Implementation
Guide V1.02.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

READ_MAX, WRITE_MAX = 125, 123
"""Registers in one telegram."""
REGISTERS = 1 << 16

_EXCEPTION = 0x80
_POLYNOMIAL = 0xA001
_HEAD = struct.Struct(">BBHH")
_EXCEPTION_BYTES = 5
_CRC_BYTES = 2


class Function(enum.IntEnum):
    """What a request asks for."""

    READ_HOLDING = 3
    READ_INPUT = 4
    WRITE_ONE = 6
    WRITE_MANY = 16


READING = frozenset({Function.READ_HOLDING, Function.READ_INPUT})


class ExceptionCode(enum.IntEnum):
    """Why a device did not do it."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    BUSY = 6
    PARITY_ERROR = 8
    GATEWAY_PATH = 10
    GATEWAY_TARGET = 11


class Request(NamedTuple):
    """`length` registers from `address` on, to be read; or to be given `values`."""

    unit: int
    function: Function
    address: int
    length: int
    values: tuple[int, ...] = ()


class Reply(NamedTuple):
    """Done; the registers read, none for a write."""

    values: tuple[int, ...] = ()


class ExceptionResponse(NamedTuple):
    """Not done."""

    code: ExceptionCode


class _Found(NamedTuple):
    """A telegram at the head of some bytes: its length, and what it says."""

    size: int
    content: Request | Reply | ExceptionResponse


Look = Callable[[bytes], _Found | int | None]
"""What bytes begin with: a telegram; or, as a number, one that so many bytes are needed to tell of; or None."""


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ _POLYNOMIAL if byte & 1 else byte >> 1
    return byte


_CRC_TABLE = tuple(_remainder(byte) for byte in range(256))


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS: polynomial 0x8005 reflected, initial value 0xFFFF."""
    table, crc = _CRC_TABLE, 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def read(unit: int, function: Function, address: int, length: int) -> Request:
    """A request to read."""
    return Request(unit, function, address, length)


def write(unit: int, address: int, values: Sequence[int]) -> Request:
    """A request to write, one register by function 06, more by 16."""
    function = Function.WRITE_ONE if len(values) == 1 else Function.WRITE_MANY
    return Request(unit, function, address, len(values), tuple(values))


def encode_request(request: Request) -> bytes:
    """A request as it goes over the line."""
    unit, function, address, length, values = request
    if function is Function.WRITE_ONE:
        return _sealed(_HEAD.pack(unit, function, address, values[0]))
    head = _HEAD.pack(unit, function, address, length)
    return _sealed(head if function in READING else head + bytes((2 * length,)) + _packed(values))


def encode_reply(request: Request, values: Sequence[int] = ()) -> bytes:
    """The answer to a request that was done, as it goes over the line; `values` are what was read."""
    if request.function in READING:
        return _sealed(bytes((request.unit, request.function, 2 * len(values))) + _packed(values))
    return _sealed(_acknowledged(request))


def encode_exception(request: Request, code: ExceptionCode) -> bytes:
    """The answer to a request that was not done, as it goes over the line."""
    return _sealed(bytes((request.unit, request.function | _EXCEPTION, code)))


class Requests:
    """Finds the requests to one unit in a stream of bytes, whatever pieces it comes in."""

    def __init__(self, unit: int) -> None:
        self._unit = unit
        self._rest = b""

    def feed(self, data: bytes) -> list[Request]:
        """The requests that `data` completes."""
        found, self._rest, _ = _search(self._rest + data, self._look)
        return [content for content in found if isinstance(content, Request)]

    def _look(self, data: bytes) -> _Found | int | None:
        if data[0] != self._unit:
            return None
        if len(data) < _HEAD.size + 1:
            return _HEAD.size + 1
        unit, kind, address, number = _HEAD.unpack_from(data)
        if kind not in tuple(Function):
            return None
        function = Function(kind)
        if function is Function.WRITE_ONE:
            return _whole(data, _HEAD.size, lambda: Request(unit, function, address, 1, (number,)))
        if function in READING:
            if not 1 <= number <= READ_MAX:
                return None
            return _whole(data, _HEAD.size, lambda: Request(unit, function, address, number))
        if not 1 <= number <= WRITE_MAX or data[_HEAD.size] != 2 * number:
            return None
        start = _HEAD.size + 1
        return _whole(
            data,
            start + 2 * number,
            lambda: Request(unit, function, address, number, _unpacked(data[start : start + 2 * number])),
        )


class Replies:
    """Finds the answers to the request expected in a stream of bytes. `damaged`: bytes that belong to none."""

    def __init__(self) -> None:
        self._rest = b""
        self._expected: Request | None = None
        self.damaged = 0

    def expect(self, request: Request | None) -> None:
        """From here on only answers to this request are found; None: there are none."""
        self._expected = request
        self._rest = b""

    def feed(self, data: bytes) -> list[Reply | ExceptionResponse]:
        """The answers that `data` completes."""
        found, self._rest, skipped = _search(self._rest + data, self._look)
        self.damaged += skipped
        return [content for content in found if not isinstance(content, Request)]

    def _look(self, data: bytes) -> _Found | int | None:
        request = self._expected
        if request is None or data[0] != request.unit:
            return None
        if len(data) < _EXCEPTION_BYTES:
            return _EXCEPTION_BYTES
        if data[1] == request.function | _EXCEPTION:
            if data[2] not in tuple(ExceptionCode):
                return None
            return _whole(data, 3, lambda: ExceptionResponse(ExceptionCode(data[2])))
        if data[1] != request.function:
            return None
        if request.function in READING:
            if data[2] != 2 * request.length:
                return None
            return _whole(data, 3 + data[2], lambda: Reply(_unpacked(data[3 : 3 + data[2]])))
        if len(data) >= _HEAD.size and data[: _HEAD.size] != _acknowledged(request):
            return None
        return _whole(data, _HEAD.size, Reply)


def _search(data: bytes, look: Look) -> tuple[list[Request | Reply | ExceptionResponse], bytes, int]:
    """All telegrams in some bytes, what may be the beginning of one more, and how many bytes were skipped.

    What looks like a beginning does not hide a whole telegram behind it.
    """
    found: list[Request | Reply | ExceptionResponse] = []
    skipped = at = 0
    begun: int | None = None
    while at < len(data):
        seen = look(data[at:])
        if isinstance(seen, _Found):
            skipped += 0 if begun is None else at - begun
            found.append(seen.content)
            at, begun = at + seen.size, None
            continue
        if begun is None and seen is None:
            skipped += 1
        elif begun is None:
            begun = at
        at += 1
    return found, b"" if begun is None else data[begun:], skipped


def _whole(data: bytes, size: int, content: Callable[[], Request | Reply | ExceptionResponse]) -> _Found | int | None:
    """A telegram of `size` bytes before its CRC: its content if the CRC is right."""
    end = size + _CRC_BYTES
    if len(data) < end:
        return end
    return _Found(end, content()) if crc16(data[:size]) == int.from_bytes(data[size:end], "little") else None


def _acknowledged(request: Request) -> bytes:
    number = request.values[0] if request.function is Function.WRITE_ONE else request.length
    return _HEAD.pack(request.unit, request.function, request.address, number)


def _sealed(body: bytes) -> bytes:
    return body + crc16(body).to_bytes(_CRC_BYTES, "little")


def _packed(values: Sequence[int]) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def _unpacked(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)
