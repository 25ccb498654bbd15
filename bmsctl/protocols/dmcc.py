"""DataMan Control Commands: how a fixed code reader of Cognex is triggered, and what it answers.

A command is `||checksum:id>TRIGGER ON`, its answer in extended format `||checksum:id[status]`, each ended by CR LF. A
read is sent by the reader on its own, as `||checksum:id[1]` and the content in base64; nothing behind the status is a
no-read. With checksum 1 the last byte before the footer is the XOR of all bytes before it, and may itself be a CR or
an LF. Set-up of the reader: extended response format, single trigger, no text for a no-read.

Source: Cognex, DataMan Control Commands, "Command Syntax" and "Reader Response"; base64: RFC 2045. To be checked on the
device: that a read has a checksum as an answer has, that a no-read is empty, and what TRIGGER OFF ends.
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from functools import reduce
from operator import xor
from typing import NamedTuple

FOOTER = b"\r\n"
TELEGRAM_MAX = 4096
ID_MAX = 9999

TRIGGER_ON = "TRIGGER ON"
TRIGGER_OFF = "TRIGGER OFF"
"""Ends a read that is under way: once it is answered, no result of an earlier trigger can come any more."""

SEPARATORS = frozenset("\x1d\x1e\x04")
"""GS, RS and EOT: the control characters that a label may hold (ISO/IEC 15434)."""

_ANSWER = re.compile(rb"\|\|1:([0-9]{1,4})\[([0-9]{1,3})\]([A-Za-z0-9+/]*={0,2})")
_COMMAND = re.compile(rb"\|\|1:([0-9]{1,4})>([A-Z0-9. -]+)")


class Status(enum.IntEnum):
    """What the reader says of a command; READ: it sends a result on its own."""

    OK = 0
    READ = 1
    UNIDENTIFIED = 100
    COMMAND_INVALID = 101
    PARAMETER_INVALID = 102
    CHECKSUM_INCORRECT = 103
    REJECTED = 104


class Command(NamedTuple):
    """A command as the reader understands it."""

    id: int
    text: str


class Answer(NamedTuple):
    """An answer, or a result; `content` is the code's, empty for a no-read and for the answer to a command."""

    id: int
    status: Status
    content: str = ""


class Telegrams:
    """Cuts a stream of bytes into telegrams, whatever pieces it comes in, and drops those that fail their check."""

    def __init__(self) -> None:
        self._rest = b""
        self.damaged = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The telegrams that `data` completes, without checksum and footer."""
        self._rest += data
        telegrams = []
        while (end := self._rest.find(FOOTER)) >= 0:
            telegram, self._rest = self._rest[:end], self._rest[end + len(FOOTER) :]
            if len(telegram) > 1 and _xor(telegram) == 0:
                telegrams.append(telegram[:-1])
            else:
                self.damaged += 1
        if len(self._rest) > TELEGRAM_MAX:
            self._rest = b""
            self.damaged += 1
        return telegrams


def encode_command(command: Command) -> bytes:
    """A command as it goes over the line."""
    return _sealed(f"||1:{command.id}>{command.text}")


def decode_command(telegram: bytes) -> Command | None:
    """The command in a telegram, or None if it is none."""
    found = _COMMAND.fullmatch(telegram)
    return None if found is None else Command(int(found[1]), found[2].decode("ascii"))


def encode_answer(answer: Answer) -> bytes:
    """An answer, or a result, as it goes over the line."""
    content = base64.b64encode(answer.content.encode("ascii")).decode("ascii")
    return _sealed(f"||1:{answer.id}[{int(answer.status)}]{content}")


def decode_answer(telegram: bytes) -> Answer | None:
    """The answer, or the result, in a telegram; None if it is none, or its content is no label's."""
    found = _ANSWER.fullmatch(telegram)
    if found is None:
        return None
    try:
        content = base64.b64decode(found[3], validate=True).decode("ascii")
        answer = Answer(int(found[1]), Status(int(found[2])), content)
    except (binascii.Error, ValueError):
        return None
    return answer if all(0x20 <= ord(char) < 0x7F or char in SEPARATORS for char in content) else None


def _sealed(text: str) -> bytes:
    telegram = text.encode("ascii")
    return telegram + bytes((_xor(telegram),)) + FOOTER


def _xor(data: bytes) -> int:
    return reduce(xor, data, 0)
