"""What goes wrong on an instrument's serial line, for the tests of any driver.

A tamper stands between instrument and station (`line.device.tamper = late(0.3)`): it takes the bytes of one emission,
an answer with its terminator, and gives the pieces that travel instead, each with an extra delay. A driver under
any of them gives the right value or the right error: `suffer` says so for one `Fault`, `every_fault` and
`every_malformed_number` are the parametrisations, `damages` the strategy for a property test.

    @every_fault
    def test_a_fault_on_the_line_never_gives_a_wrong_value(fault: Fault) -> None: ...
        await suffer(line, fault, lambda: driver.read(lease), lambda value: value == pytest.approx(1.0, rel=0.01))
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import strategies as st

from bmsctl.errors import DeviceError, DeviceTimeout, LinkDown, ReplyInvalid
from firmware_stubs.sim.wire import SimSerial

T = TypeVar("T")

Piece = tuple[float, bytes]
Tamper = Callable[[bytes], Iterable[Piece]]
Edit = Callable[[bytes], bytes]

MEASURED = re.compile(rb"[+-]?\d+\.\d+E[+-]\d+")
"""A number with exponent (NR3): measured ones are written so, but many settings too."""

BURST = bytes((0xFF, 0x00, 0x80, 0x3B, 0xFE, 0x0A, 0x7F, 0x2C, 0xC3))
"""Noise on an open line, with a semicolon, a comma and a terminator in it."""

MALFORMED = (
    b"1.2.3",
    b"1,5",
    b"NaN",
    b"nan",
    b"INF",
    b"-0",
    b"-0.0000E+00",
    b"+9.91E+37",
    b"-9.91E+37",
    b"",
    b"+",
    b"1E",
    b"--1.0",
    b"0x10",
    b"1_000.0",
    b"+1.0E+400",
    b"1.0 mA",
    b"**.**",
)
"""What stands where a number should, and is none."""


def in_pieces(size: int, gap_s: float = 0.0) -> Tamper:
    """Each answer in pieces of `size` bytes, `gap_s` apart."""
    return lambda data: [(at // size * gap_s, data[at : at + size]) for at in range(0, len(data), size)]


def cut_at(positions: Sequence[int], gap_s: float = 0.0) -> Tamper:
    """Each answer cut at these positions (taken modulo its length)."""

    def tamper(data: bytes) -> list[Piece]:
        marks = [0, *sorted({position % len(data) for position in positions} - {0}), len(data)]
        pieces = [data[low:high] for low, high in pairwise(marks)]
        return [(number * gap_s, piece) for number, piece in enumerate(pieces)]

    return tamper


def late(by_s: float) -> Tamper:
    """Each answer comes so much later."""
    return lambda data: [(by_s, data)]


def lost() -> Tamper:
    """No answer comes."""
    return lambda data: []


def one_behind() -> Tamper:
    """Each query is given the answer to the one before; the first is given none."""
    held: list[bytes] = []

    def tamper(data: bytes) -> list[Piece]:
        held.append(data)
        return [(0.0, held[-2])] if len(held) > 1 else []

    return tamper


def with_the_last() -> Tamper:
    """One read holds the answer to the query before, once more, and the answer to this one."""
    held = [b""]

    def tamper(data: bytes) -> list[Piece]:
        last, held[0] = held[0], data
        return [(0.0, last + data)]

    return tamper


def edited(edit: Edit) -> Tamper:
    """Each answer changed by a function."""
    return lambda data: [(0.0, edit(data))]


def noise(before: bytes = b"", after: bytes = b"") -> Tamper:
    """Each answer between bursts of noise."""
    return edited(lambda data: before + data + after)


def overwritten(at: int, garbage: bytes) -> Tamper:
    """Bytes of each answer replaced by as many others, from position `at` (taken modulo its length)."""

    def edit(data: bytes) -> bytes:
        start = at % len(data)
        return (data[:start] + garbage + data[start + len(garbage) :])[: max(len(data), 1)]

    return edited(edit)


def number_reads(text: bytes, count: int = 0, pattern: re.Pattern[bytes] = MEASURED) -> Tamper:
    """The first `count` measured numbers of an answer (0: all of them) read `text`."""
    return edited(lambda data: pattern.sub(lambda _: text, data, count))


def scaled(factor: float, count: int = 0, pattern: re.Pattern[bytes] = MEASURED) -> Tamper:
    """The first `count` numbers (0: all) are `factor` times as large: a slip of the unit's prefix."""

    def rescale(found: re.Match[bytes]) -> bytes:
        digits = len(found[0].split(b"E")[0].split(b".")[1])
        return f"{float(found[0]) * factor:+.{digits}E}".encode("ascii")

    return edited(lambda data: pattern.sub(rescale, data, count))


def frozen(count: int = 0, pattern: re.Pattern[bytes] = MEASURED) -> Tamper:
    """The first `count` numbers (0: all) stay as they were in the first answer."""
    first: list[bytes] = []

    def edit(data: bytes) -> bytes:
        first.extend(pattern.findall(data)[len(first) :])
        texts = iter(first)
        return pattern.sub(lambda _: next(texts), data, count)

    return edited(edit)


def fields_changed(indexes: Sequence[int], change: Edit) -> Tamper:
    """Fields of each answer, parted by semicolons and counted from 0, changed by a function."""

    def edit(data: bytes) -> bytes:
        fields = data.split(b";")
        for index in indexes:
            fields[index] = change(fields[index])
        return b";".join(fields)

    return edited(edit)


def when(chosen: Callable[[bytes], object], tamper: Tamper) -> Tamper:
    """Only answers that are chosen are tampered with."""
    return lambda data: tamper(data) if chosen(data) else [(0.0, data)]


def during(tamper: Tamper, count: int, skip: int = 0) -> Tamper:
    """Only `count` answers are tampered with, after `skip` that are not."""
    seen = [0]

    def limited(data: bytes) -> Iterable[Piece]:
        seen[0] += 1
        return tamper(data) if skip < seen[0] <= skip + count else [(0.0, data)]

    return limited


def unplug(line: SimSerial, after_s: float = 0.0) -> None:
    """The adapter is pulled out of the station: nothing comes, and writing fails."""
    asyncio.get_running_loop().call_later(after_s, setattr, line.station, "down", True)


def garble_commands(line: SimSerial, edit: Edit) -> None:
    """What the instrument hears is changed by a function; connect the instrument first."""
    sink = line.device_sink
    assert sink is not None
    line.device_sink = lambda data: sink(edit(data))


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the line. `raises`: what a query may raise; `survivable`: it may also give the right value."""

    name: str
    tamper: Callable[[], Tamper]
    raises: tuple[type[DeviceError], ...] = ()
    survivable: bool = True

    def __str__(self) -> str:
        return self.name


LINE = (ReplyInvalid, DeviceTimeout)

FAULTS = (
    Fault("byte by byte", lambda: in_pieces(1)),
    Fault("in pieces with gaps", lambda: in_pieces(5, 0.002)),
    Fault("two answers in one read", with_the_last),
    Fault("noise before one answer", lambda: during(noise(before=BURST), 1), LINE),
    Fault("noise before every answer", lambda: noise(before=BURST), LINE),
    Fault("noise after every answer", lambda: noise(after=BURST), LINE),
    Fault("noise without terminator", lambda: noise(before=b"\xff\xfe"), LINE, survivable=False),
    Fault("terminators before every answer", lambda: noise(before=b"\r\n\n"), LINE),
    Fault("first bytes overwritten", lambda: overwritten(0, b"\xff\xff"), LINE, survivable=False),
    Fault("terminator overwritten", lambda: overwritten(-1, b"?"), LINE, survivable=False),
    Fault("answer one behind", one_behind, LINE, survivable=False),
    Fault("one answer lost", lambda: during(lost(), 1), LINE),
    Fault("no answer", lost, LINE, survivable=False),
    Fault("endless line", lambda: edited(lambda data: b"7" * 4096), LINE, survivable=False),
)
"""Faults of the line itself. A call that is not repeated after a doubt may raise under all but the first three."""

every_fault = pytest.mark.parametrize("fault", FAULTS, ids=str)
every_malformed_number = pytest.mark.parametrize("text", MALFORMED, ids=repr)


async def suffer(line: SimSerial, fault: Fault, call: Callable[[], Awaitable[T]], right: Callable[[T], bool]) -> None:
    """Call a driver while the fault acts: it gives a right value where that is possible, or raises what it may."""
    line.device.tamper = fault.tamper()
    try:
        value = await call()
    except fault.raises:
        return
    finally:
        line.device.tamper = None
    assert fault.survivable, f"{fault} was not noticed: {value}"
    assert right(value), f"{fault}: {value}"


async def suffer_unplug(line: SimSerial, call: Callable[[], Awaitable[object]], after_s: float = 0.0) -> None:
    """The line is pulled out `after_s` into a call: it says so, or that no answer came."""
    unplug(line, after_s)
    with pytest.raises((LinkDown, DeviceTimeout)):
        await call()
    with pytest.raises(LinkDown):
        await call()


@st.composite
def damages(draw: st.DrawFn) -> Tamper:
    """A tamper with one burst in an answer that overwrites, inserts or takes away up to six bytes, and with splits.

    It strikes the first answer, the second, the first two, or all, each at the same place.
    """
    kind = draw(st.sampled_from(("overwrite", "insert", "delete")))
    position = draw(st.integers(0, 400))
    junk = draw(st.binary(min_size=1, max_size=6))
    cuts = cut_at(draw(st.lists(st.integers(0, 400), max_size=4)))
    count, skip = draw(st.sampled_from(((1, 0), (1, 1), (2, 0), (1_000_000, 0))))

    def tamper(data: bytes) -> Iterable[Piece]:
        at = position % (len(data) + 1)
        resume = at if kind == "insert" else at + len(junk)
        changed = data[:at] + (b"" if kind == "delete" else junk) + data[resume:]
        return cuts(changed) if changed else []

    return during(tamper, count, skip)
