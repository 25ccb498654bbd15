"""Telegrams of Open Protocol: a header of 20 ASCII characters, ASCII data, and a NUL that ends them.

| characters | what | blank means |
|---|---|---|
| 1-4 | length, header included, NUL not | - |
| 5-8 | MID, the kind of message | - |
| 9-11 | revision of the MID; 000 is 001 | 001 |
| 12 | no acknowledge wanted: 1 | wanted |
| 13-14 | station | 01 |
| 15-16 | spindle | 01 |
| 17-18 | sequence number on the link level | not used |
| 19-20 | number of parts of a longer message, number of this part | one telegram is all |

Over TCP a controller listens on port 4545. There is no checksum: what shows damage is that the length must count the
characters up to the NUL, and that header and fields have their form.

Source: Atlas Copco, "Open Protocol Specification" R 2.8.0 (9836 4415 01), sections 2 and 3, as published decoders quote
it. To be checked on the device: that telegrams over RS-232 are framed as they are over TCP.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LINK_TIMEOUT_S = 15.0
"""A controller ends a session in which it has heard nothing for so long."""

HEADER_LENGTH = 20
LENGTH_MAX = 9999
END = b"\0"

_HEADER = re.compile(rb"(\d{4})(\d{4})(\d{3}| {3})([ 01])(\d\d|  )(\d\d|  )(\d\d|  )[ 01][ 01]")


class Telegram(NamedTuple):
    """One telegram; None for a blank in the header. `data` follows the header."""

    mid: int
    revision: int = 1
    data: bytes = b""
    no_ack: bool = False
    station: int | None = None
    spindle: int | None = None
    sequence: int | None = None


class Telegrams:
    """Cuts a stream of bytes into telegrams, whatever pieces it comes in.

    `damaged` counts what stood between two NULs and is no telegram: the length is wrong, the header has not its form,
    or it is a part of a longer message.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._lost_start = False
        self.damaged = 0

    def feed(self, data: bytes) -> list[Telegram]:
        """The telegrams that `data` completes."""
        *whole, self._rest = (self._rest + data).split(END)
        telegrams = []
        for body in whole:
            if self._lost_start:
                self._lost_start = False
            elif body:
                telegram = _decode(body)
                if telegram is None:
                    self.damaged += 1
                else:
                    telegrams.append(telegram)
        if len(self._rest) > LENGTH_MAX:
            self.damaged += not self._lost_start
            self._rest, self._lost_start = b"", True
        return telegrams


def encode(telegram: Telegram) -> bytes:
    """The bytes of a telegram, NUL included.

    Raises:
        ValueError: a number does not fit into the header, or the data into a telegram.
    """
    mid, revision, data, no_ack, station, spindle, sequence = telegram
    length = HEADER_LENGTH + len(data)
    if END in data:
        raise ValueError(f"MID {mid:04d}: a NUL in the data would end the telegram")
    header = (
        _digits(mid, length, 4, "length")
        + _digits(mid, mid, 4, "MID")
        + _digits(mid, revision, 3, "revision")
        + ("1" if no_ack else " ")
        + _digits(mid, station, 2, "station")
        + _digits(mid, spindle, 2, "spindle")
        + _digits(mid, sequence, 2, "sequence number")
        + "  "
    )
    return header.encode("ascii") + data + END


def _decode(body: bytes) -> Telegram | None:
    """What stands before a NUL, taken apart; None if it is no telegram."""
    header = _HEADER.match(body)
    if header is None or int(header[1]) != len(body):
        return None
    revision, station, spindle, sequence = (_number(header[group]) for group in (3, 5, 6, 7))
    return Telegram(int(header[2]), revision or 1, body[HEADER_LENGTH:], header[4] == b"1", station, spindle, sequence)


def _number(field: bytes) -> int | None:
    return None if field.isspace() else int(field)


def _digits(mid: int, value: int | None, width: int, what: str) -> str:
    """A number of the header; blank for None."""
    if value is None:
        return " " * width
    if not 0 <= value < 10**width:
        raise ValueError(f"MID {mid:04d}: {what} {value} does not fit into {width} digits of the header")
    return f"{value:0{width}d}"
