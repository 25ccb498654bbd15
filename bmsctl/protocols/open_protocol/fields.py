"""Fields of Open Protocol messages: how a value is written in so many characters, and what is none."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from bmsctl.domain.ports import LimitStatus

TORQUE_LSB_NM = 0.01

_TIME = re.compile(r"\d{4}-(?:0\d|1[0-2])-(?:[0-2]\d|3[01]):(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d", re.ASCII)
_LIMIT_STATUS = (LimitStatus.LOW, LimitStatus.OK, LimitStatus.HIGH)


class Malformed(ValueError):
    """A telegram that is not what its MID and revision say, or a value that its field cannot hold."""


class BatchStatus(enum.IntEnum):
    """How a batch of tightenings stands."""

    NOK = 0
    OK = 1
    NOT_USED = 2


class Kind(NamedTuple):
    """How values of one kind are written. `encode` and `decode` raise ValueError, which says what a value is not."""

    encode: Callable[[Any, int], str]
    decode: Callable[[str], Any]


class Field(NamedTuple):
    """One field: the name of its value in the message, its characters, and how they are written."""

    name: str
    width: int
    kind: Kind


def _encode_number(value: int, width: int) -> str:
    if not 0 <= value < 10**width:
        raise ValueError(f"{value} does not fit into {width} digits")
    return f"{value:0{width}d}"


def _decode_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def _encode_text(value: str, width: int) -> str:
    if len(value) > width:
        raise ValueError(f"{value!r} does not fit into {width} characters")
    return _checked_text(value).ljust(width)


def _decode_text(text: str) -> str:
    return _checked_text(text).rstrip(" ")


def _checked_text(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{text!r} is not printable ASCII")
    return text


def _encode_torque(value: float, width: int) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a torque")
    return _encode_number(round(value / TORQUE_LSB_NM), width)


def _decode_torque(text: str) -> float:
    return _decode_number(text) / 100.0


def _encode_time(value: str, width: int) -> str:
    return _decode_time(value)


def _decode_time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is not a time YYYY-MM-DD:HH:MM:SS")
    return text


def _encode_flag(value: bool, width: int) -> str:
    return "1" if value else "0"


def _decode_flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"{text!r} is not 0 or 1")
    return text == "1"


def _encode_limit_status(value: LimitStatus, width: int) -> str:
    return str(_LIMIT_STATUS.index(value))


def _decode_limit_status(text: str) -> LimitStatus:
    if text not in ("0", "1", "2"):
        raise ValueError(f"{text!r} is not 0 for low, 1 for OK or 2 for high")
    return _LIMIT_STATUS[int(text)]


def _encode_batch(value: BatchStatus, width: int) -> str:
    return str(int(value))


def _decode_batch(text: str) -> BatchStatus:
    if text not in ("0", "1", "2"):
        raise ValueError(f"{text!r} is not 0 for NOK, 1 for OK or 2 for not used")
    return BatchStatus(int(text))


NUMBER = Kind(_encode_number, _decode_number)
"""Whole, not negative, with leading zeros."""
TEXT = Kind(_encode_text, _decode_text)
"""Printable ASCII; blanks at its end do not count."""
TORQUE = Kind(_encode_torque, _decode_torque)
"""Nm, not negative, in hundredths with leading zeros."""
TIME = Kind(_encode_time, _decode_time)
"""The controller's time of day, YYYY-MM-DD:HH:MM:SS; all zeros for never."""
FLAG = Kind(_encode_flag, _decode_flag)
LIMIT_STATUS = Kind(_encode_limit_status, _decode_limit_status)
BATCH = Kind(_encode_batch, _decode_batch)
