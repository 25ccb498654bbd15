"""Telegrams of the digitizer front end; `digitizer.md` beside this file is the specification.

Frames are COBS-stuffed, end with a zero byte and carry a CRC-16. `Deframer` takes bytes in any pieces;
the codecs work on whole payloads.
"""

from __future__ import annotations

import binascii
import enum
import struct
from collections.abc import Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bmsctl.domain.ports import F64, Resistor
from bmsctl.protocols import cobs

BAUD = 3_000_000
SAMPLE_RATE_HZ = 10_000
CHANNELS = 3
LSB_V = 1000.0 / 32768
COUNTS_MIN, COUNTS_MAX = -32768, 32767
BLOCK_SAMPLES = 100
MEAN_SAMPLES_MAX = 10_000
PAYLOAD_MAX = 1024
OFF_SEQUENCE = 0
"""Of a stop that also takes every resistor out, and of what the front end says unasked."""

_ANSWER = 0x80
_RESTARTED = 0xFE
_ERROR = 0xFF
_BLOCK = 0x40
_FRAME_MAX = PAYLOAD_MAX + 16
_ON_WIRE = np.uint16(0x8080)
_INT16, _UINT16 = np.dtype("<i2"), np.dtype("<u2")

_MEAN_COMMAND = struct.Struct("<H")
_MEAN_ANSWER = struct.Struct("<HB3i3I")
_STOP_ANSWER = struct.Struct("<I")
_BLOCK_HEAD = struct.Struct("<BBIBB")
_SAMPLE_BYTES = 2 * CHANNELS


class Command(enum.IntEnum):
    """What the station may ask."""

    IDENTIFY = 0x01
    MEAN = 0x02
    START = 0x03
    STOP = 0x04
    INSERT = 0x10


_COMMANDS = frozenset(Command)
_BODY_BYTES = {Command.MEAN: _MEAN_COMMAND.size, Command.INSERT: 1}
_RESISTORS = (None, *Resistor)
_CONTACTS = {resistor: 1 << bit for bit, resistor in enumerate(Resistor)}
_INSERTED = tuple(
    frozenset(resistor for resistor, bit in _CONTACTS.items() if bits & bit) for bits in range(1 << len(_CONTACTS))
)


class ErrorCode(enum.IntEnum):
    """Why the front end did not do it."""

    UNKNOWN_COMMAND = 1
    WRONG_LENGTH = 2
    OUT_OF_RANGE = 3
    BUSY = 4


class Order(NamedTuple):
    """A command with its sequence number; `n` only for MEAN, `resistor` only for INSERT."""

    command: Command
    sequence: int
    n: int = 0
    resistor: Resistor | None = None


class Identity(NamedTuple):
    """Answer to identify."""

    sequence: int
    serial: str
    firmware: str


class Mean(NamedTuple):
    """Answer to mean: (v_pos, v_neg, v_link) each; `over_range` has a bit per channel."""

    sequence: int
    n: int
    over_range: int
    mean_v: tuple[float, float, float]
    sd_v: tuple[float, float, float]


class Started(NamedTuple):
    """Answer to start."""

    sequence: int


class Stopped(NamedTuple):
    """Answer to stop."""

    sequence: int
    samples: int


class Inserted(NamedTuple):
    """Answer to insert: the resistors that are in, by the auxiliary contacts of their relays."""

    sequence: int
    resistors: Set[Resistor]


class Restarted(NamedTuple):
    """Said unasked after power-up: no recording, no resistor."""

    sequence: int


class Failed(NamedTuple):
    """Answer to a command that was not carried out."""

    sequence: int
    command: int
    error: ErrorCode


class Block(NamedTuple):
    """Consecutive samples, still as they came over the line; see `samples_v`."""

    sequence: int
    first: int
    over_range: int
    raw: bytes

    @property
    def samples(self) -> int:
        """Samples per channel."""
        return len(self.raw) // _SAMPLE_BYTES


Message = Identity | Mean | Started | Stopped | Inserted | Restarted | Failed | Block


class Deframer:
    """Cuts a stream of bytes into payloads; counts what had to be dropped in `damaged`."""

    def __init__(self) -> None:
        self._rest = b""
        self._lost_start = False
        self.damaged = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads completed by `data`, in order."""
        *frames, self._rest = (self._rest + data).split(b"\0")
        payloads = []
        for frame in frames:
            if self._lost_start:
                self._lost_start = False
                continue
            if not frame:
                continue
            payload = _checked(frame)
            if payload is None:
                self.damaged += 1
            else:
                payloads.append(payload)
        if len(self._rest) > _FRAME_MAX:
            self.damaged += not self._lost_start
            self._rest, self._lost_start = b"", True
        return payloads


def frame(payload: bytes) -> bytes:
    """Payload as it goes over the line."""
    return cobs.encode(payload + binascii.crc_hqx(payload, 0xFFFF).to_bytes(2, "big")) + b"\0"


def encode_command(order: Order) -> bytes:
    """Payload of a command."""
    head = bytes((order.command, order.sequence))
    if order.command is Command.MEAN:
        return head + _MEAN_COMMAND.pack(order.n)
    if order.command is Command.INSERT:
        return head + bytes((_RESISTORS.index(order.resistor),))
    return head


def decode_command(payload: bytes) -> Order | Failed | None:
    """A command, or the answer to what is none; None if there is nobody to answer."""
    if len(payload) < 2:
        return None
    kind, sequence, body = payload[0], payload[1], payload[2:]
    if kind not in _COMMANDS:
        return Failed(sequence, kind, ErrorCode.UNKNOWN_COMMAND)
    command = Command(kind)
    if len(body) != _BODY_BYTES.get(command, 0):
        return Failed(sequence, kind, ErrorCode.WRONG_LENGTH)
    if command is Command.MEAN:
        (n,) = _MEAN_COMMAND.unpack(body)
        if 1 <= n <= MEAN_SAMPLES_MAX:
            return Order(command, sequence, n)
    elif command is Command.INSERT:
        if body[0] < len(_RESISTORS):
            return Order(command, sequence, resistor=_RESISTORS[body[0]])
    else:
        return Order(command, sequence)
    return Failed(sequence, kind, ErrorCode.OUT_OF_RANGE)


def encode_message(message: Message) -> bytes:
    """Payload of an answer or a block."""
    if isinstance(message, Block):
        head = _BLOCK_HEAD.pack(_BLOCK, message.sequence, message.first, message.over_range, message.samples)
        return head + message.raw
    if isinstance(message, Identity):
        return _answer(Command.IDENTIFY, message.sequence, f"{message.serial};{message.firmware}".encode("ascii"))
    if isinstance(message, Mean):
        micro = [round(volts * 1e6) for volts in (*message.mean_v, *message.sd_v)]
        return _answer(Command.MEAN, message.sequence, _MEAN_ANSWER.pack(message.n, message.over_range, *micro))
    if isinstance(message, Started):
        return _answer(Command.START, message.sequence, b"")
    if isinstance(message, Stopped):
        return _answer(Command.STOP, message.sequence, _STOP_ANSWER.pack(message.samples))
    if isinstance(message, Inserted):
        contacts = sum(_CONTACTS[resistor] for resistor in message.resistors)
        return _answer(Command.INSERT, message.sequence, bytes((contacts,)))
    if isinstance(message, Restarted):
        return bytes((_RESTARTED, message.sequence))
    return bytes((_ERROR, message.sequence, message.command, message.error))


def decode_message(payload: bytes) -> Message | None:
    """What the front end says; None if it is no message of this protocol."""
    if len(payload) < 2:
        return None
    if payload[0] == _BLOCK:
        return _decode_block(payload)
    kind, sequence, body = payload[0], payload[1], payload[2:]
    try:
        if kind == Command.IDENTIFY | _ANSWER:
            serial, firmware = body.decode("ascii").split(";")
            return Identity(sequence, serial, firmware)
        if kind == Command.MEAN | _ANSWER:
            n, over_range, *micro = _MEAN_ANSWER.unpack(body)
            volts = [value * 1e-6 for value in micro]
            return Mean(sequence, n, over_range, (volts[0], volts[1], volts[2]), (volts[3], volts[4], volts[5]))
        if kind == Command.START | _ANSWER:
            return Started(sequence) if not body else None
        if kind == Command.STOP | _ANSWER:
            return Stopped(sequence, *_STOP_ANSWER.unpack(body))
        if kind == Command.INSERT | _ANSWER:
            (contacts,) = body
            return Inserted(sequence, _INSERTED[contacts])
        if kind == _RESTARTED:
            return Restarted(sequence) if not body else None
        if kind == _ERROR and len(body) == 2:
            return Failed(sequence, body[0], ErrorCode(body[1]))
    except (struct.error, ValueError, IndexError):
        return None
    return None


def raw_samples(counts: NDArray[np.int16]) -> bytes:
    """Samples, (n, 3) counts, as they go over the line."""
    return (counts.astype(_INT16, copy=False).view(_UINT16) ^ _ON_WIRE).tobytes()


def samples_v(raw: bytes) -> F64:
    """Samples as they came over the line, (n, 3) volts."""
    counts = (np.frombuffer(raw, _UINT16) ^ _ON_WIRE).view(_INT16)
    return np.multiply(counts.reshape(-1, CHANNELS), LSB_V, dtype=np.float64)


def _answer(command: Command, sequence: int, body: bytes) -> bytes:
    return bytes((command | _ANSWER, sequence)) + body


def _decode_block(payload: bytes) -> Block | None:
    if len(payload) < _BLOCK_HEAD.size:
        return None
    _, sequence, first, over_range, count = _BLOCK_HEAD.unpack_from(payload)
    raw = payload[_BLOCK_HEAD.size :]
    if not 1 <= count <= BLOCK_SAMPLES or len(raw) != count * _SAMPLE_BYTES:
        return None
    return Block(sequence, first, over_range, raw)


def _checked(stuffed: bytes) -> bytes | None:
    whole = cobs.decode(stuffed)
    if whole is None or not 2 < len(whole) <= PAYLOAD_MAX + 2:
        return None
    return whole[:-2] if binascii.crc_hqx(whole, 0xFFFF) == 0 else None
