"""The lines of candump, parsed byte by byte in one pass.

The text ends with a line feed, so that no loop needs to look for the end of the text: a line feed ends each of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.canlog.frames import EXTENDED
from bmsctl.analysis.canlog.readers.collect import CLASSIC_BYTES, EXTENDED_MAX, FD_BYTES, STANDARD_MAX
from bmsctl.analysis.compiled import kernel

BUSES_MAX = 256

FRAME, NOTHING, ERROR_FRAME, REMOTE_FRAME = 0, 1, 2, 3
NO_FORM, NO_TIME, BAD_TIME, BAD_ID, ID_BITS, ODD_DIGITS, BAD_BYTE, BAD_LENGTH, TOO_FEW, TOO_LONG, BUSES = range(4, 15)
WHY = {
    NO_FORM: "is no line of candump",
    NO_TIME: "has no time",
    BAD_TIME: "the time in parentheses is none",
    BAD_ID: "the identifier has neither 3 nor 8 hexadecimal digits",
    ID_BITS: "the identifier has more than 11 or 29 bits",
    ODD_DIGITS: "the last data byte has only one digit",
    BAD_BYTE: "a data byte has no two hexadecimal digits",
    BAD_LENGTH: "the length in brackets is none of a frame",
    TOO_FEW: "has fewer data bytes than it announces",
    TOO_LONG: "goes on behind the data of the frame",
    BUSES: f"is of a channel beyond the first {BUSES_MAX}",
}
"""What is wrong with a line, by outcome."""

_LF, _TAB, _BLANK, _HASH, _DOT, _COLON, _DASH, _LOW_LINE, _QUOTE = b"\n\t #.:-_'"
_OPEN, _CLOSE, _BRACKET, _BRACKET_CLOSE = b"()[]"
_R, _T, _X, _SMALL_R, _SMALL_T, _E = b"RTXrtE"
_ERROR_FLAG = 0x20000000
_EXTENDED = int(EXTENDED)
_DIGITS_MAX = 18
"""Of a time; what follows is below the resolution of a float."""
_WHOLE_DIGITS_MAX = 10
_NONE = 99

_NIBBLE = np.full(256, _NONE, np.int64)
_NIBBLE[list(b"0123456789abcdef")] = range(16)
_NIBBLE[list(b"ABCDEF")] = range(10, 16)
_TENS = 10.0 ** np.arange(_DIGITS_MAX + 1)

Text = NDArray[np.uint8]
_U64 = np.uint64


@kernel
def _byte(text: Text, at: int) -> int:
    """A byte of the text; the unsigned index spares the question whether it counts from the end."""
    return int(text[_U64(at)])


@kernel
def _eight_digits(text: Text, at: int, data: Text, fill: int) -> bool:
    """Whether eight hexadecimal digits stand here; if so, they are written as four bytes.

    All eight are compared and put together at once, one in each byte of a word.
    """
    word = _U64(0)
    for i in range(8):
        word |= _U64(_byte(text, at + i)) << _U64(8 * i)
    seven = word & _U64(0x7F7F7F7F7F7F7F7F)
    small = seven | _U64(0x2020202020202020)
    is_digit = (seven + _U64(0x5050505050505050)) & ~(seven + _U64(0x4646464646464646))
    is_letter = (small + _U64(0x1F1F1F1F1F1F1F1F)) & ~(small + _U64(0x1919191919191919))
    if ((is_digit | is_letter) & ~word) & _U64(0x8080808080808080) != _U64(0x8080808080808080):
        return False
    value = (word & _U64(0x0F0F0F0F0F0F0F0F)) + _U64(9) * ((word >> _U64(6)) & _U64(0x0101010101010101))
    value = (value << _U64(4) | value >> _U64(8)) & _U64(0x00FF00FF00FF00FF)
    for i in range(4):
        data[_U64(fill + i)] = value >> _U64(16 * i) & _U64(0xFF)
    return True


@kernel
def _skip(text: Text, at: int) -> int:
    """Behind blanks, but not behind the line."""
    while _byte(text, at) <= _BLANK and _byte(text, at) != _LF:
        at += 1
    return at


@kernel
def _hexadecimal(text: Text, at: int) -> tuple[int, int]:
    """A number, and where it ends; digits beyond the 15th are lost."""
    value = 0
    while _NIBBLE[_byte(text, at)] < 16:
        value = (value & 0xFFFFFFFFFFFFFF) << 4 | _NIBBLE[_byte(text, at)]
        at += 1
    return value, at


@kernel
def _decimal(text: Text, at: int) -> tuple[int, int]:
    """A number of up to _WHOLE_DIGITS_MAX digits, and where it ends."""
    value, end = 0, at + _WHOLE_DIGITS_MAX
    while at < end and _NIBBLE[_byte(text, at)] < 10:
        value = value * 10 + _NIBBLE[_byte(text, at)]
        at += 1
    return value, at


@kernel
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date of the Gregorian calendar."""
    year -= month <= 2
    era_year = year % 400
    since_march = month - 3 if month > 2 else month + 9
    day_of_year = (153 * since_march + 2) // 5 + day - 1
    return year // 400 * 146_097 + era_year * 365 + era_year // 4 - era_year // 100 + day_of_year - 719_468


@kernel
def _date(text: Text, at: int, year: int) -> tuple[int, int]:
    """Whole seconds of a date and time of day from behind the year, and where they end; -1 if there are none.

    Each separator is looked at before what follows it, which may be beyond the text.
    """
    month, at = _decimal(text, at)
    if _byte(text, at) != _DASH or not 0 < month < 13:
        return 0, -1
    day, at = _decimal(text, at + 1)
    if _byte(text, at) != _BLANK or not 0 < day < 32:
        return 0, -1
    hour, at = _decimal(text, at + 1)
    if _byte(text, at) != _COLON or hour > 23:
        return 0, -1
    minute, at = _decimal(text, at + 1)
    if _byte(text, at) != _COLON or minute > 59:
        return 0, -1
    second, at = _decimal(text, at + 1)
    if second > 60:
        return 0, -1
    return ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second, at


@kernel
def _time(text: Text, at: int) -> tuple[float, int]:
    """Seconds, from behind the opening parenthesis to behind the closing one; NaN if it is no time.

    Either seconds, or a date and the time of day, taken as UTC.
    """
    first = at
    whole, at = _decimal(text, at)
    digits = at - first
    if digits == 4 and _byte(text, at) == _DASH:
        whole, at = _date(text, at + 1, whole)
        if at < 0:
            return np.nan, first
        digits = _WHOLE_DIGITS_MAX
    places = 0
    if _byte(text, at) == _DOT and digits > 0:
        at += 1
        while _NIBBLE[_byte(text, at)] < 10:
            if digits + places < _DIGITS_MAX:
                whole = whole * 10 + _NIBBLE[_byte(text, at)]
                places += 1
            at += 1
    if _byte(text, at) != _CLOSE or digits == 0:
        return np.nan, at
    return whole / _TENS[places], at + 1


@kernel
def _identified(value: int, digits: int) -> tuple[int, int]:
    """Outcome and identifier as columns carry it, from a number of so many digits."""
    if digits == 3:
        return (FRAME, value) if value <= STANDARD_MAX else (ID_BITS, 0)
    if digits != 8:
        return BAD_ID, 0
    if value & ~EXTENDED_MAX == _ERROR_FLAG:
        return ERROR_FRAME, 0
    return (FRAME, value | _EXTENDED) if value <= EXTENDED_MAX else (ID_BITS, 0)


@kernel
def _log_frame(text: Text, at: int, data: Text, fill: int) -> tuple[int, int, bool, bool]:
    """Outcome, data bytes, received, CAN FD of what follows the first # of a line of `candump -L`."""
    fd = _byte(text, at) == _HASH
    most = CLASSIC_BYTES
    if fd:
        if _NIBBLE[_byte(text, at + 1)] == _NONE:
            return BAD_BYTE, 0, True, fd
        most, at = FD_BYTES, at + 2
    outcome, length = FRAME, 0
    if _byte(text, at) == _R or _byte(text, at) == _SMALL_R:
        outcome, at = REMOTE_FRAME, at + 1
        if _NIBBLE[_byte(text, at)] <= CLASSIC_BYTES:
            at += 1
    else:
        while length + 4 <= most and at + 8 < len(text) and _eight_digits(text, at, data, fill + length):
            length, at = length + 4, at + 8
        while length < most:
            if _byte(text, at) == _DOT:
                at += 1
            high = _NIBBLE[_byte(text, at)]
            if high == _NONE:
                break
            low = _NIBBLE[_byte(text, at + 1)]
            if low == _NONE:
                return ODD_DIGITS if _byte(text, at + 1) <= _BLANK else BAD_BYTE, 0, True, fd
            data[fill + length] = high << 4 | low
            length += 1
            at += 2
    if _byte(text, at) == _LOW_LINE and _NIBBLE[_byte(text, at + 1)] < 16:
        at += 2
    if _byte(text, at) > _BLANK:
        return TOO_LONG if length == most else BAD_BYTE, 0, True, fd
    at = _skip(text, at)
    sent = _byte(text, at) == _T or _byte(text, at) == _SMALL_T
    if sent or _byte(text, at) == _R or _byte(text, at) == _SMALL_R:
        at = _skip(text, at + 1)
    return outcome if _byte(text, at) == _LF else TOO_LONG, length, not sent, fd


@kernel
def _screen_frame(text: Text, at: int, data: Text, fill: int) -> tuple[int, int, bool]:
    """Outcome, data bytes, CAN FD of what follows the identifier in a line of candump on a screen."""
    at = _skip(text, at)
    if _byte(text, at) != _BRACKET:
        return NO_FORM, 0, False
    announced, end = _decimal(text, at + 1)
    fd = end == at + 3
    if _byte(text, end) != _BRACKET_CLOSE or end == at + 1 or announced > (FD_BYTES if fd else CLASSIC_BYTES):
        return BAD_LENGTH, 0, fd
    at = end + 1
    if _byte(text, _skip(text, at)) == _SMALL_R:
        return REMOTE_FRAME, 0, fd
    for i in range(announced):
        begin = _skip(text, at)
        if _byte(text, begin) == _LF:
            return TOO_FEW, 0, fd
        value, at = _hexadecimal(text, begin)
        if at != begin + 2:
            return BAD_BYTE, 0, fd
        data[fill + i] = value
    end = _skip(text, at)
    if _byte(text, end) == _LF or (end > at and (_byte(text, end) == _QUOTE or _byte(text, end) == _E)):
        return FRAME, announced, fd
    return TOO_LONG, 0, fd


@kernel
def _after_channel(text: Text, at: int, data: Text, fill: int) -> tuple[int, int, int, bool, bool, bool]:
    """Outcome, identifier, data bytes, received, CAN FD, log form of what follows the channel."""
    received = True
    if (_byte(text, at) == _R or _byte(text, at) == _T) and _byte(text, at + 1) == _X and _byte(text, at + 2) <= _BLANK:
        received = _byte(text, at) == _R
        at = _skip(text, at + 2)
        for _ in range(2):
            if _byte(text, at) != _LF and _byte(text, at + 1) <= _BLANK:
                at = _skip(text, at + 1)
    value, end = _hexadecimal(text, at)
    outcome, can_id = _identified(value, end - at)
    log_form = _byte(text, end) == _HASH
    if log_form:
        found, length, received, fd = _log_frame(text, end + 1, data, fill)
    elif end > at and _byte(text, end) <= _BLANK:
        found, length, fd = _screen_frame(text, end, data, fill)
    else:
        return NO_FORM, 0, 0, received, False, False
    if outcome == FRAME or found >= NO_FORM:
        outcome = found
    return outcome, can_id, length, received, fd, log_form


@kernel
def _channel(text: Text, begin: int, end: int, names: NDArray[np.int64], known: int) -> int:
    """Number of the channel that is named from `begin` to `end`; `known` for a new one."""
    for number in range(known):
        first = names[number, 0]
        if names[number, 1] - first == end - begin:
            same = True
            for i in range(end - begin):
                same &= _byte(text, first + i) == _byte(text, begin + i)
            if same:
                return number
    return known


@kernel
def _line(text: Text, at: int, data: Text, fill: int) -> tuple[int, float, int, int, int, int, bool, bool]:
    """Outcome, time, where the name of the channel begins and ends, identifier, data bytes, received, CAN FD of a
    line that is not blank."""
    seconds, told = np.nan, _byte(text, at) == _OPEN
    if told:
        seconds, at = _time(text, at + 1)
        if np.isnan(seconds):
            return BAD_TIME, seconds, at, at, 0, 0, True, False
    begin = _skip(text, at)
    end = begin
    while _byte(text, end) > _BLANK:
        end += 1
    outcome, can_id, length, received, fd, log_form = _after_channel(text, _skip(text, end), data, fill)
    if log_form and not told:
        outcome = NO_TIME
    return outcome, seconds, begin, end, can_id, length, received, fd


@kernel
def parse(
    text: Text,
    time_s: NDArray[np.float64],
    can_id: NDArray[np.uint32],
    bus: NDArray[np.uint16],
    length: Text,
    start: NDArray[np.int64],
    received: NDArray[np.bool_],
    fd: NDArray[np.bool_],
    data: Text,
    names: NDArray[np.int64],
    bad: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Parse lines into columns, and count.

    Args:
        text: (m,) contiguous bytes; the last is a line feed.
        time_s: and the columns up to `fd`, (n,) each, room for as many frames as there are lines; written.
        data: (m // 2 + FD_BYTES,) written.
        names: (BUSES_MAX, 2) where the names of channels stand in the text; written.
        bad: (k, 4) of the first k malformed lines the number, where they begin and end, and why; written.
    """
    frames = filled = malformed = errors = remotes = channels = 0
    at, line, after_error = 0, 0, False
    while at < len(text):
        begin, line, outcome = at, line + 1, NOTHING
        at = _skip(text, at)
        if _byte(text, at) != _LF and _byte(text, at) != _HASH and not (after_error and _byte(text, begin) == _TAB):
            outcome, seconds, name, at, identifier, size, heard, flexible = _line(text, at, data, filled)
            channel = _channel(text, name, at, names, channels) if outcome == FRAME else 0
            if channel == BUSES_MAX:
                outcome = BUSES
            elif outcome == FRAME:
                if channel == channels:
                    names[channel, 0], names[channel, 1] = name, at
                    channels += 1
                time_s[frames], can_id[frames], bus[frames], length[frames] = seconds, identifier, channel, size
                start[frames], received[frames], fd[frames] = filled, heard, flexible
                frames += 1
                filled += size
            after_error = outcome == ERROR_FRAME
        errors += outcome == ERROR_FRAME
        remotes += outcome == REMOTE_FRAME
        while _byte(text, at) != _LF:
            at += 1
        if outcome >= NO_FORM:
            if malformed < len(bad):
                where = bad[malformed]
                where[0], where[1], where[2], where[3] = line, begin, at, outcome
            malformed += 1
        at += 1
    return np.array([frames, filled, malformed, errors, remotes, channels], np.int64)
