"""Packets between the hub and its clients: one SEQPACKET packet each, little-endian.

| packet | bytes | direction |
|---|---|---|
| frame | 1, flags, length, 0, id u32, stamp u64, data | both |
| dropped | 2, 0, 0, 0, count u32 | to a client that did not keep up |
| hello | 3, version, options, name in UTF-8 | from a client, first |
| welcome | 4, version, and a file descriptor of one shared byte: the controller's status | to a client |
| refused | 5, text in UTF-8 | to a client, then the connection is closed |
| request | 6, JSON object | from a controlling client |
| reply | 7, JSON object | to a controlling client |

`length` is the frame's in bytes; a remote frame states it and carries no data. `stamp` is 0 from a client;
the hub writes the moment it took the frame, in nanoseconds of the machine's monotonic clock.
"""

from __future__ import annotations

import json
import struct
from typing import Any

VERSION = 1

FRAME, DROPPED, HELLO, WELCOME, REFUSED, REQUEST, REPLY = range(1, 8)

# Plain integers: the operators of enum.IntFlag cost more than the whole rest of forwarding a frame.
EXTENDED, REMOTE, ERROR, FD, BITRATE_SWITCH, ERROR_PASSIVE, OWN = (1 << bit for bit in range(7))

CAN_FD, RECEIVE_OWN, CONTROL = (1 << bit for bit in range(3))
"""Options of a hello."""

ACTIVE, PASSIVE, BUS_OFF = range(3)
"""What the status byte says of a client's controller."""

HEADER = struct.Struct("<BBBxIQ")
STAMP_AT = 8
DATA_AT = HEADER.size
_STAMP = struct.Struct("<Q")
_DROPPED = struct.Struct("<BxxxI")
PACKET_MAX = 4096
"""Longer packets reach the hub cut off; no valid one is."""
REPLY_MAX = 1 << 17
"""Longer replies might not fit into a socket's buffer."""

STANDARD_ID_MAX = 0x7FF
EXTENDED_ID_MAX = 0x1FFFFFFF
CLASSIC_LENGTHS = frozenset(range(9))
FD_LENGTHS = CLASSIC_LENGTHS | {12, 16, 20, 24, 32, 48, 64}
EXTENDED_KEY = 1 << 31
"""Added to an extended id, so that it differs from the standard id with the same number."""

NAME_BYTES_MAX = 64

# Classes and detail bytes of error frames, from linux/can/error.h.
ERR_CONTROLLER, ERR_PROTOCOL, ERR_BUS_OFF, ERR_BUS_ERROR, ERR_RESTARTED = 0x04, 0x08, 0x40, 0x80, 0x100
ERR_PASSIVE = bytes((0, 0x10 | 0x20, 0, 0, 0, 0, 0, 0))
ERR_FORM = bytes((0, 0, 0x02, 0, 0, 0, 0, 0))
ERR_BIT = bytes((0, 0, 0x01, 0, 0, 0, 0, 0))
ERR_NO_DETAIL = bytes(8)


class PacketInvalid(ValueError):
    """A packet breaks the layout or a rule of CAN. The text says which."""


def frame(flags: int, length: int, can_id: int, data: bytes | bytearray, stamp_ns: int = 0) -> bytes:
    """A frame packet."""
    return HEADER.pack(FRAME, flags, length, can_id, stamp_ns) + data


def error_frame(error_class: int, detail: bytes, stamp_ns: int) -> bytes:
    """An error frame as SocketCAN gives it: the class in the id, 8 bytes of detail."""
    return frame(ERROR, len(detail), error_class, detail, stamp_ns)


def check_frame(packet: bytes) -> tuple[int, int]:
    """Flags and key (id, with `EXTENDED_KEY` if extended) of a frame packet from a client.

    Raises:
        PacketInvalid: cut off, too long, or no frame that CAN has.
    """
    if len(packet) < DATA_AT:
        raise PacketInvalid(f"a frame packet has at least {DATA_AT} bytes, not {len(packet)}")
    _, flags, length, can_id, _ = HEADER.unpack_from(packet)
    if length not in (FD_LENGTHS if flags & FD else CLASSIC_LENGTHS):
        raise PacketInvalid(f"no {'FD' if flags & FD else 'classic'} frame has {length} bytes")
    if len(packet) - DATA_AT != (0 if flags & REMOTE else length):
        raise PacketInvalid(f"a frame of {length} bytes came with {len(packet) - DATA_AT}")
    if flags & (ERROR | OWN) or flags >> 7:
        raise PacketInvalid(f"flags {flags:#04x} are not a client's to set")
    if flags & (REMOTE if flags & FD else BITRATE_SWITCH | ERROR_PASSIVE):
        raise PacketInvalid(f"flags {flags:#04x} contradict each other")
    if can_id > (EXTENDED_ID_MAX if flags & EXTENDED else STANDARD_ID_MAX):
        raise PacketInvalid(f"id {can_id:#x} is too large")
    return flags, can_id | EXTENDED_KEY if flags & EXTENDED else can_id


def stamped(packet: bytes, stamp_ns: int) -> bytes:
    """The frame packet with the moment the hub took it."""
    return packet[:STAMP_AT] + _STAMP.pack(stamp_ns) + packet[DATA_AT:]


def restamped(packet: bytes, like: bytes) -> bytes:
    """The frame packet with the stamp of another."""
    return packet[:STAMP_AT] + like[STAMP_AT:DATA_AT] + packet[DATA_AT:]


def own(packet: bytes) -> bytes:
    """The frame packet as its sender receives it back."""
    return packet[:1] + bytes((packet[1] | OWN,)) + packet[2:]


def dropped(count: int) -> bytes:
    """The report that `count` frames were dropped between the packet before and the one after."""
    return _DROPPED.pack(DROPPED, count)


def dropped_count(packet: bytes) -> int:
    """How many frames a dropped packet reports."""
    count: int = _DROPPED.unpack(packet)[1]
    return count


def hello(options: int, name: str) -> bytes:
    """A client's first packet."""
    return bytes((HELLO, VERSION, options)) + name.encode()


def read_hello(packet: bytes) -> tuple[int, str]:
    """Options and name of a hello.

    Raises:
        PacketInvalid: not a hello, another version, or an unusable name.
    """
    if len(packet) < 3 or packet[0] != HELLO:
        raise PacketInvalid("the first packet must be a hello")
    if packet[1] != VERSION:
        raise PacketInvalid(
            f"version {packet[1]} of the packets; this hub speaks {VERSION}: start both from one version"
        )
    if packet[2] & ~(CAN_FD | RECEIVE_OWN | CONTROL):
        raise PacketInvalid(f"unknown options {packet[2]:#04x}")
    try:
        name = packet[3:].decode()
    except UnicodeDecodeError:
        raise PacketInvalid("the name is not UTF-8") from None
    if not name.isprintable() or not 0 < len(packet) - 3 <= NAME_BYTES_MAX:
        raise PacketInvalid(f"a name has 1 to {NAME_BYTES_MAX} printable bytes")
    return packet[2], name


def document(kind: int, content: dict[str, Any]) -> bytes:
    """A request or a reply."""
    return bytes((kind,)) + json.dumps(content, separators=(",", ":")).encode()


def read_document(packet: bytes) -> dict[str, Any]:
    """Content of a request or a reply.

    Raises:
        PacketInvalid: not a JSON object.
    """
    try:
        content = json.loads(packet[1:])
    except (ValueError, RecursionError):
        raise PacketInvalid("not JSON") from None
    if not isinstance(content, dict):
        raise PacketInvalid("not a JSON object")
    return content
