"""TRC, the text trace of PEAK-System's tools: columns that the file names, or that its version implies.

    ;$COLUMNS=N,O,T,B,I,d,R,L,D
         1      1059.900 DT 1      0300 Rx -  7    00 00 00 00 04 00 00

Lines that begin with a semicolon are header and comments. Besides frames there are warnings, status and counters of the
controller, which are no frames and not counted.

Source: PEAK-System, "PEAK CAN TRC File Format", 2.1.
"""

from __future__ import annotations

from bmsctl.analysis.canlog.frames import Frames
from bmsctl.analysis.canlog.readers.collect import (
    CLASSIC_BYTES,
    FD_LENGTHS,
    Collector,
    hex_bytes,
    identifier,
    number,
    read_lines,
    seconds,
)

COLUMNS = {"1.0": "NOILD", "1.1": "NOTILD", "1.2": "NOBTILD", "1.3": "NOBTIRLD"}
"""Number, time offset, bus, type, identifier, reserved, length and data of the versions that do not name their columns;
the type of these is also the direction."""
FD_TYPES = frozenset(("FD", "FB", "FE", "BI"))
"""Data frames of CAN FD: plain, with fast data, and these with the sender's error passive."""
DATA_TYPES = frozenset(("DT", "Rx", "Tx")) | FD_TYPES
OTHER_TYPES = frozenset(("ST", "EC", "EV", "Warng"))
ERROR_TYPES = frozenset(("ER", "Error"))
REMOTE_TYPE = "RR"
WARNING_ID = "FFFFFFFF"
UNIX_EPOCH_DAYS = 25_569
"""From 1899-12-30, which start times count from."""
DAY_S = 86_400.0
ONE_BUS = "1"


def recognise(line: str) -> bool:
    """Whether a line is of this format's header."""
    return line.startswith(";$") or (line.startswith(";") and line[1:].lstrip().lower().startswith("start time"))


class _Trace:
    """What the header has said so far, and the frames."""

    def __init__(self) -> None:
        self.found = Collector()
        self._columns = {letter: place for place, letter in enumerate(COLUMNS["1.0"])}
        self._start_s = 0.0

    def take(self, line: str) -> None:
        """One line."""
        if line.startswith(";"):
            if line.startswith(";$"):
                self._header(line)
            return
        fields = line.split(None, len(self._columns) - 1)
        time_s = self._start_s + seconds(self._field(fields, "O")) / 1000.0
        kind = self._field(fields, "T") if "T" in self._columns else "DT"
        if kind in ERROR_TYPES:
            self.found.error_frames += 1
        elif kind in DATA_TYPES:
            self._frame(time_s, kind, fields)
        elif kind == REMOTE_TYPE:
            self.found.remote_frames += 1
        elif kind not in OTHER_TYPES:
            raise ValueError(f"type {kind!r} is not known")

    def _header(self, line: str) -> None:
        key, _, value = line[2:].partition("=")
        value = value.strip()
        if key == "FILEVERSION" and value in COLUMNS:
            self._columns = {letter: place for place, letter in enumerate(COLUMNS[value])}
        elif key == "COLUMNS":
            letters = [letter.strip() for letter in value.split(",")]
            if not {"O", "I", "D"} < set(letters) or not {"L", "l"} & set(letters):
                raise ValueError("names no columns for time, identifier, length and data")
            self._columns = {letter: place for place, letter in enumerate(letters)}
        elif key == "STARTTIME":
            self._start_s = (seconds(value) - UNIX_EPOCH_DAYS) * DAY_S

    def _frame(self, time_s: float, kind: str, fields: list[str]) -> None:
        text = self._field(fields, "I")
        if text == WARNING_ID:
            return
        place = self._columns["D"]
        data = fields[place].split() if len(fields) > place else []
        if data[:1] == ["RTR"]:
            self.found.remote_frames += 1
        elif data[:1] == ["ERROR"]:
            self.found.error_frames += 1
        else:
            direction = self._field(fields, "d") if "d" in self._columns else kind
            fd = kind in FD_TYPES
            count = self._length(fields, fd)
            if len(data) > count:
                raise ValueError(f"{len(data)} data bytes where {count} are announced")
            can_id = identifier(number(text, 16, "identifier"), len(text) > 4)
            bus = self._field(fields, "B") if "B" in self._columns else ONE_BUS
            self.found.frame(time_s, can_id, bus, hex_bytes(data, count), received=direction.lower() != "tx", fd=fd)

    def _length(self, fields: list[str], fd: bool) -> int:
        """Data bytes, from a column of lengths or one of data length codes."""
        if "l" in self._columns:
            return number(self._field(fields, "l"), 10, "length")
        code = number(self._field(fields, "L"), 10, "data length code")
        if code >= len(FD_LENGTHS):
            raise ValueError(f"data length code {code} is above {len(FD_LENGTHS) - 1}")
        return FD_LENGTHS[code] if fd else min(code, CLASSIC_BYTES)

    def _field(self, fields: list[str], letter: str) -> str:
        place = self._columns[letter]
        if place >= len(fields):
            raise ValueError(f"has {len(fields)} of {len(self._columns)} columns")
        return fields[place]


def read(data: bytes, name: str) -> Frames:
    """The frames of a trace, of versions 1.0 to 2.1.

    Times are absolute where the header tells the start, which it does in local time: they are given as if that were
    UTC.
    """
    trace = _Trace()
    read_lines(data, trace.found, trace.take)
    return trace.found.frames()
