"""ZPL II for one label: its format, the printer's status, and its label counter.

Text goes through ^FH: a caret, a tilde or an underscore in it, and any byte that is not printable ASCII, is written as
_ and two hexadecimal digits, so no text can become a command. ~HS is answered with three strings between STX and ETX,
a variable with its value in quotes.

Source: Zebra, Programming Guide for ZPL II, ZBI 2 and Set-Get-Do: ^XA, ^XZ, ^CI, ^FO, ^A, ^BX, ^FH, ^FD, ^FS, ~HS, ~JA,
and `odometer.total_label_count`. To be checked on the device: that a doubled ~ in ^BX stands for one, and that a
variable is answered while a label prints.
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

STATUS = b"~HS"
CANCEL_ALL = b"~JA"
"""Drops every format that is not printed yet."""

LABEL_COUNT = b'! U1 getvar "odometer.total_label_count"\r\n'

ANSWER_MAX = 96
_STX, _ETX, _QUOTE = 0x02, 0x03, 0x22
_BETWEEN = frozenset(b"\r\n")

_MODULE_DOTS = 6
_QUALITY = 200
_CODE_ORIGIN = (40, 40)
_TEXT_ORIGIN = (240, 40)
_TEXT_DOTS, _LINE_DOTS = 28, 36
_ESCAPE = "~"
"""Begins an escape sequence in a data matrix of quality 200; doubled, it stands for itself."""

_RESERVED = frozenset(b"^~_")
_FIELD = re.compile(rb"\^FO[0-9]+,[0-9]+(\^BX|\^A0)[^^]*\^FH_\^FD([^^~]*)\^FS")
_HEX = re.compile(rb"_([0-9A-Fa-f]{2})")
_FIRST = re.compile(
    r"\d{3},(?P<paper>[01]),(?P<pause>[01]),\d{4},(?P<formats>\d{3}),[01],[01],(?P<partial>[01]),\d{3},"
    r"(?P<memory>[01]),[01],(?P<hot>[01])",
    re.ASCII,
)
_SECOND = re.compile(
    r"\d{3},\d,(?P<head>[01]),(?P<ribbon>[01]),[01],\d,\d,[01],(?P<remaining>\d{8}),\d,\d{3}", re.ASCII
)
_THIRD = re.compile(r"[^,]{4},[01]")
_COUNT = re.compile(r'"(\d{1,10})"', re.ASCII)


class Label(NamedTuple):
    """What stands on a label: the content of its data matrix, and lines of text."""

    code: str
    lines: tuple[str, ...]


class Trouble(enum.Flag):
    """Why a printer does not print."""

    PAPER_OUT = enum.auto()
    PAUSED = enum.auto()
    MEMORY_LOST = enum.auto()
    TOO_HOT = enum.auto()
    HEAD_OPEN = enum.auto()
    RIBBON_OUT = enum.auto()


class HostStatus(NamedTuple):
    """What ~HS says. `formats`: received and not begun; `remaining`: labels of the batch still to be printed;
    `partial`: a format has begun to arrive."""

    trouble: Trouble
    formats: int
    partial: bool
    remaining: int

    @property
    def idle(self) -> bool:
        """Nothing is being printed, nothing waits for it."""
        return not (self.formats or self.partial or self.remaining)


class Answers:
    """Cuts a stream of bytes into answers, whatever pieces it comes in: status strings and values, without delimiters.

    `damaged`: runs of bytes that belong to no answer, and answers cut short.
    """

    def __init__(self) -> None:
        self._end: int | None = None
        self._text = bytearray()
        self._astray = False
        self.damaged = 0

    def feed(self, data: bytes) -> list[str]:
        """The answers that `data` completes; a value keeps its quotes."""
        return [answer for byte in data if (answer := self._step(byte)) is not None]

    def clear(self) -> None:
        """Forget an unfinished answer."""
        self._end, self._astray = None, False

    def _step(self, byte: int) -> str | None:
        if self._end is None:
            self._open(byte)
        elif byte == self._end:
            self._end = None
            text = self._text.decode("ascii")
            return f'"{text}"' if byte == _QUOTE else text
        elif not 0x20 <= byte < 0x7F or len(self._text) >= ANSWER_MAX:
            self._end, self._astray = None, True
            self.damaged += 1
            self._open(byte)
        else:
            self._text.append(byte)
        return None

    def _open(self, byte: int) -> None:
        """Begin an answer, if this byte does."""
        if byte in (_STX, _QUOTE):
            self._end = _ETX if byte == _STX else _QUOTE
            self._text.clear()
            self._astray = False
        elif byte not in _BETWEEN and not self._astray:
            self._astray = True
            self.damaged += 1


def encode_label(label: Label) -> bytes:
    """The format that prints a label once."""
    x, y = _CODE_ORIGIN
    content = _escaped(label.code.replace(_ESCAPE, 2 * _ESCAPE))
    fields = [f"^FO{x},{y}^BXN,{_MODULE_DOTS},{_QUALITY},,,,{_ESCAPE}^FH_^FD{content}^FS"]
    x, y = _TEXT_ORIGIN
    for number, line in enumerate(label.lines):
        fields.append(f"^FO{x},{y + number * _LINE_DOTS}^A0N,{_TEXT_DOTS},{_TEXT_DOTS}^FH_^FD{_escaped(line)}^FS")
    return f"^XA^CI28{''.join(fields)}^PQ1^XZ".encode("ascii")


def decode_label(data: bytes) -> Label | None:
    """What a format puts on a label, or None if it has no data matrix."""
    fields = [(kind, _plain(text)) for kind, text in _FIELD.findall(data)]
    codes = [text for kind, text in fields if kind == b"^BX"]
    if len(codes) != 1:
        return None
    lines = tuple(text for kind, text in fields if kind == b"^A0")
    return Label(codes[0].replace(2 * _ESCAPE, _ESCAPE), lines)


def encode_status(status: HostStatus) -> bytes:
    """Answer to ~HS of a printer that tears off and prints by ribbon."""
    paper, pause, memory, hot, head, ribbon = (int(trouble in status.trouble) for trouble in Trouble)
    strings = (
        f"030,{paper},{pause},0800,{status.formats:03d},0,0,{int(status.partial)},000,{memory},0,{hot}",
        f"001,0,{head},{ribbon},1,2,4,0,{status.remaining:08d},1,000",
        "1234,0",
    )
    return b"".join(b"\x02" + string.encode("ascii") + b"\x03\r\n" for string in strings)


def decode_status(first: str, second: str, third: str) -> HostStatus:
    """The three strings of ~HS, taken apart.

    Raises:
        ValueError: one of them is not as the manual has it.
    """
    one, two = _FIRST.fullmatch(first), _SECOND.fullmatch(second)
    if one is None or two is None or _THIRD.fullmatch(third) is None:
        raise ValueError(f"{first!r}, {second!r}, {third!r} is no host status")
    flags = (one["paper"], one["pause"], one["memory"], one["hot"], two["head"], two["ribbon"])
    trouble = Trouble(0)
    for flag, meaning in zip(flags, Trouble, strict=True):
        if flag == "1":
            trouble |= meaning
    return HostStatus(trouble, int(one["formats"]), one["partial"] == "1", int(two["remaining"]))


def encode_count(count: int) -> bytes:
    """Answer to LABEL_COUNT."""
    return f'"{count}"'.encode("ascii")


def decode_count(answer: str) -> int:
    """Labels printed since the printer was made.

    Raises:
        ValueError: not a number in quotes.
    """
    found = _COUNT.fullmatch(answer)
    if found is None:
        raise ValueError(f"{answer!r} is no label count")
    return int(found[1])


def _escaped(text: str) -> str:
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in _RESERVED else f"_{byte:02X}" for byte in text.encode("utf-8")
    )


def _plain(field: bytes) -> str:
    return _HEX.sub(lambda found: bytes((int(found[1], 16),)), field).decode("utf-8", "replace")
