"""Frames of candump's log by a regular expression a line, in plain Python.

Another way than the parser's: the whole line is matched at once, data by `bytes.fromhex`, times by `float`.
"""

from __future__ import annotations

import calendar
import math
import re
from typing import NamedTuple

LOG = re.compile(
    r"\((?P<time>[^()\n]*)\)\s+(?P<bus>\S+)\s+(?P<id>[0-9A-F]{3}|[0-9A-F]{8})#"
    r"(?:R(?P<code>[0-8])?|(?:#(?P<flags>[0-9A-F]))?(?P<data>(?:\.?[0-9A-F]{2})*)\.?)(?:_[0-9A-F])?(?:\s+(?P<way>[RT]))?\s*",
    re.IGNORECASE | re.ASCII,
)
SECONDS = re.compile(r"\d{1,10}(\.\d*)?", re.ASCII)
DATE = re.compile(r"(\d{4})-(\d+)-(\d+) (\d+):(\d+):(\d+)(\.\d*)?", re.ASCII)


class Frame(NamedTuple):
    """One line of the log; `data` is None for an error or remote frame."""

    kind: str
    time_s: float
    bus: str
    can_id: int
    data: bytes
    received: bool
    fd: bool


def seconds(text: str) -> float:
    """A time, NaN if it is none."""
    if SECONDS.fullmatch(text):
        return float(text)
    date = DATE.fullmatch(text)
    if not date:
        return math.nan
    parts = [int(part) for part in date.groups()[:6]]
    return calendar.timegm((*parts, 0, 1, 0)) + float(date[7] or 0.0)


def parse(line: str) -> Frame | None:
    """The frame of a line of `candump -L`; None if it is malformed."""
    found = LOG.fullmatch(line)
    if not found or math.isnan(seconds(found["time"])):
        return None
    number, extended = int(found["id"], 16), len(found["id"]) == 8
    received = (found["way"] or "R").upper() == "R"
    kind = "data"
    if extended and number >> 29 == 1:
        kind = "error"
    elif number > (0x1FFFFFFF if extended else 0x7FF):
        return None
    elif found["data"] is None:
        kind = "remote"
    data = bytes.fromhex((found["data"] or "").replace(".", ""))
    fd = found["flags"] is not None
    if len(data) > (64 if fd else 8):
        return None
    return Frame(kind, seconds(found["time"]), found["bus"], number | extended << 31, data, received, fd)
