"""CRTD, the text log of Open Vehicle Monitoring System: a line is a time, a record type, an identifier and data.

    1320745424.002 1R11 100 02 03

`R` was received and `T` sent, with 11 or 29 bits, on the bus before the letter; records that begin with C are comments,
events and commands.

Source: Open Vehicles, "CRTD CAN Log Format", 3.1.
"""

from __future__ import annotations

import re

from bmsctl.analysis.canlog.frames import Frames
from bmsctl.analysis.canlog.readers.collect import Collector, identifier, number, read_lines, seconds

DEFAULT_BUS = "1"
_RECORD = re.compile(r"(\d{0,4})([RTrt])(11|29)", re.ASCII)
_COMMENT = re.compile(r"\d{0,4}C[A-Z]{2}", re.ASCII | re.IGNORECASE)


def recognise(line: str) -> bool:
    """Whether a line is a record of this format."""
    fields = line.split(None, 2)
    return len(fields) > 1 and "." in fields[0] and _kind(fields) is not None


def _kind(fields: list[str]) -> re.Match[str] | None:
    return _RECORD.fullmatch(fields[1]) or _COMMENT.fullmatch(fields[1])


def read(data: bytes, name: str) -> Frames:
    """The frames of a log; record types that the format does not know are counted as malformed."""
    found = Collector()

    def take(line: str) -> None:
        fields = line.split()
        time_s = seconds(fields[0])
        kind = _kind(fields) if len(fields) > 1 else None
        if kind is None:
            raise ValueError("is no record of CRTD")
        if kind.re is _COMMENT:
            return
        if len(fields) < 3:
            raise ValueError("has no identifier")
        bus, direction, bits = kind.groups()
        if any(len(text) > 2 for text in fields[3:]):
            raise ValueError("a data byte has more than two digits")
        found.frame(
            time_s,
            identifier(number(fields[2], 16, "identifier"), bits == "29"),
            bus or DEFAULT_BUS,
            bytes(number(text, 16, "data byte") for text in fields[3:]),
            received=direction in "Rr",
        )

    read_lines(data, found, take)
    return found.frames()
