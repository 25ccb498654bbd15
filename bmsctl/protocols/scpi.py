"""SCPI over a serial line: program messages with a tag, response messages, numbers.

SCPI answers carry no sequence number, so an answer that comes late would be taken for the next one. Every query
therefore sets the event status enable register to a tag and asks for it at the end of the same message; the
answer to `*ESE 37;:MEAS:CURR?;*ESR?;*ESE?` is `+1.2500E-03;0;37`. Bit 7 (power on) of the event status register
tells that the device has restarted, and lost its settings, since it was last asked. `*IDN?` must be the last query
of its message, so its tag comes first: `0;37;MAKER,MODEL,SERIAL,FIRMWARE`.

Nothing in an answer proves that its digits are those that were sent: what matters is asked for twice in one message.

Source: IEEE 488.2-1992, sections 6.1.6 (errors), 7, 8, 10.14 (*IDN?), 11; SCPI-1999, volume 1, sections 6.2.4
(header paths), 7.2 (numbers) and 21.8 (error queue).
"""

from __future__ import annotations

import re
from typing import NamedTuple

TERMINATOR = b"\n"
LINE_MAX = 256
TAG_MAX = 255
POWER_ON = 0x80
"""Power-on bit of the standard event status register."""
ERRORS = 0x3C
"""Its error bits: command, execution, device-dependent, query."""

OVER_RANGE = 9.9e37
"""SCPI's infinity."""
NOT_A_NUMBER = 9.91e37
"""SCPI's not-a-number."""

_SEPARATOR = re.compile(r';(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""A semicolon outside quotes."""
_NUMBER = re.compile(r"[+-]?(?:\d{1,17}(?:\.\d{0,17})?|\.\d{1,17})(?:[eE][+-]?\d{1,3})?")
_REGISTER = re.compile(r" *\+?(\d{1,3}) *")
_ERROR = re.compile(r'([+-]?\d{1,6}),"((?:[^"]|"")*)"')


class Answer(NamedTuple):
    """A response message taken apart: fields of the query, event status register, tag."""

    fields: tuple[str, ...]
    events: int
    tag: int


class Lines:
    """Cuts a stream of bytes into lines, whatever pieces it comes in; a line too long or not ASCII is dropped.

    `damaged` counts those. An empty line is none.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._lost_start = False
        self.damaged = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without terminator."""
        *whole, self._rest = (self._rest + data).split(TERMINATOR)
        lines = []
        for line in whole:
            text = line.removesuffix(b"\r")
            if self._lost_start:
                self._lost_start = False
            elif len(text) > LINE_MAX or not all(0x20 <= byte < 0x7F for byte in text):
                self.damaged += 1
            elif text:
                lines.append(text.decode("ascii"))
        if len(self._rest) > LINE_MAX + 1:
            self.damaged += not self._lost_start
            self._rest, self._lost_start = b"", True
        return lines


def tagged(command: str, tag: int) -> bytes:
    """The program message that runs `command`, if any, and is answered with `tag`."""
    middle = f"{command};" if command else ""
    return f"*ESE {tag};{middle}*ESR?;*ESE?".encode("ascii") + TERMINATOR


def identify(tag: int, *, clear: bool = False) -> bytes:
    """The program message that asks who the device is, after clearing its queues; see `decode_identity`."""
    first = "*CLS;" if clear else ""
    return f"{first}*ESE {tag};*ESR?;*ESE?;*IDN?".encode("ascii") + TERMINATOR


def decode_answer(line: str) -> Answer | None:
    """A tagged answer, or None if the line is none."""
    *fields, events, tag = ["", *_SEPARATOR.split(line)]
    return _answer(tuple(fields[1:]), events, tag)


def decode_identity(line: str) -> Answer | None:
    """The answer to `identify`, its one field the identity of at least four parts, or None if the line is none."""
    events, tag, identity = [*line.split(";", 2), "", ""][:3]
    return _answer((identity,), events, tag) if identity.count(",") >= 3 else None


def decode_number(text: str) -> float:
    """A number as SCPI writes it (NR1, NR2, NR3).

    Returns:
        The number; infinity, with its sign, for SCPI's infinity.

    Raises:
        ValueError: no such number, SCPI's not-a-number, or a zero with a minus sign.
    """
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    value = float(text)
    if value == 0.0 and text.startswith("-"):
        raise ValueError(f"{text!r} is a zero with a sign")
    if abs(value) >= NOT_A_NUMBER:
        raise ValueError(f"{text!r} stands for no number")
    return float("inf") if value >= OVER_RANGE else float("-inf") if value <= -OVER_RANGE else value


def is_not_a_number(text: str) -> bool:
    """Whether a device says with SCPI's not-a-number that it has measured nothing."""
    text = text.strip()
    return bool(_NUMBER.fullmatch(text)) and float(text) == NOT_A_NUMBER


def decode_error(text: str) -> tuple[int, str]:
    """Number and text of an error queue entry; number 0: no error.

    Raises:
        ValueError: not an entry.
    """
    found = _ERROR.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not an error queue entry")
    return int(found[1]), found[2].replace('""', '"')


def _answer(fields: tuple[str, ...], events: str, tag: str) -> Answer | None:
    registers = _REGISTER.fullmatch(events), _REGISTER.fullmatch(tag)
    if registers[0] is None or registers[1] is None:
        return None
    values = int(registers[0][1]), int(registers[1][1])
    return Answer(fields, *values) if max(values) <= TAG_MAX else None
