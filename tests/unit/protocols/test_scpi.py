"""Messages of SCPI: the bytes of a query, lines out of any pieces, tags, and what is a number."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bmsctl.protocols import scpi
from bmsctl.protocols.scpi import LINE_MAX, Answer, Lines
from tests.support.serial_faults import MALFORMED


def test_a_query_carries_its_tag_and_asks_for_it_last() -> None:
    assert scpi.tagged(":MEAS:CURR?", 37) == b"*ESE 37;:MEAS:CURR?;*ESR?;*ESE?\n"
    assert scpi.tagged("", 1) == b"*ESE 1;*ESR?;*ESE?\n"


def test_nothing_is_asked_after_the_identity() -> None:
    assert scpi.identify(255) == b"*ESE 255;*ESR?;*ESE?;*IDN?\n"
    assert scpi.identify(2, clear=True) == b"*CLS;*ESE 2;*ESR?;*ESE?;*IDN?\n"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("+1.2500E-03;0;37", Answer(("+1.2500E-03",), 0, 37)),
        ("0;37", Answer((), 0, 37)),
        ("1;2;128;255", Answer(("1", "2"), 128, 255)),
        ("1; +0; +37", Answer(("1",), 0, 37)),
        (" 4.0123E-03;0;1", Answer((" 4.0123E-03",), 0, 1)),
        ('-113,"Undefined; header";32;5', Answer(('-113,"Undefined; header"',), 32, 5)),
        (";0;5", Answer(("",), 0, 5)),
        ("37", None),
        ("", None),
        ("1.0;0;", None),
        ("1.0;0;256", None),
        ("1.0;0;-5", None),
        ("1.0;256;5", None),
        ("1.0;0;5.0", None),
        ("1.0;0;1000", None),
        ('"half;0;5', Answer(('"half',), 0, 5)),
    ],
)
def test_an_answer_is_taken_apart(line: str, answer: Answer | None) -> None:
    assert scpi.decode_answer(line) == answer


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("0;37;HIOKI,RM3545-02,190412345,V1.11", Answer(("HIOKI,RM3545-02,190412345,V1.11",), 0, 37)),
        ("128;1;A,B;C,0,1.0", Answer(("A,B;C,0,1.0",), 128, 1)),
        ("0;37", None),
        ("0;37;HIOKI,RM3545", None),
        ("HIOKI,RM3545-02,190412345,V1.11;0;37", None),
        ("0;x;A,B,C,D", None),
    ],
)
def test_an_identity_follows_its_tag(line: str, answer: Answer | None) -> None:
    assert scpi.decode_identity(line) == answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("+1.2500E-03", 1.25e-3),
        ("-3", -3.0),
        (" 4.0123E-03", 4.0123e-3),
        ("12.", 12.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("0", 0.0),
        ("+0.0000E+00", 0.0),
        ("9.9E37", math.inf),
        ("+9.90000E+37", math.inf),
        ("-9.9E37", -math.inf),
    ],
)
def test_numbers(text: str, value: float) -> None:
    assert scpi.decode_number(text) == value


@pytest.mark.parametrize("text", MALFORMED, ids=repr)
def test_what_is_no_number(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"is not a number|stands for no number|with a sign"):
        scpi.decode_number(text.decode("ascii"))


@given(st.text(alphabet="0123456789+-.eE,; nNaAiIfF", max_size=12))
@settings(max_examples=100)
@example("9.95E37")
def test_a_number_is_what_python_reads_too_or_infinite(text: str) -> None:
    try:
        value = scpi.decode_number(text)
    except ValueError:
        return
    assert value == float(text) or abs(float(text)) >= scpi.OVER_RANGE
    assert not math.isnan(value)


def test_only_the_sentinel_stands_for_no_measurement() -> None:
    assert scpi.is_not_a_number(" 9.9100E+37")
    assert scpi.is_not_a_number("9.91E37")
    assert not any(scpi.is_not_a_number(text) for text in ("9.9E37", "-9.91E37", "nan", "1.0", ""))


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ('+0,"No error"', (0, "No error")),
        ('-113,"Undefined header"', (-113, "Undefined header")),
        ('-222,"Data out of range;VOLT 99"', (-222, "Data out of range;VOLT 99")),
        ('101,"Bad ""quote"""', (101, 'Bad "quote"')),
    ],
)
def test_entries_of_the_error_queue(text: str, entry: tuple[int, str]) -> None:
    assert scpi.decode_error(text) == entry


@pytest.mark.parametrize("text", ["", "0", "No error", '0,"open', '0,"a" b', "-113,'Undefined header'", '+0,""x'])
def test_what_is_no_entry(text: str) -> None:
    with pytest.raises(ValueError, match="not an error queue entry"):
        scpi.decode_error(text)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.just(b"+1.25E-03;0;5\r\n"),
            st.just(b"\xff\n"),
            st.integers(LINE_MAX - 2, LINE_MAX + 3).map(lambda size: b"7" * size + b"\r\n"),
        ),
        max_size=8,
    ),
    st.lists(st.integers(0, 1500), max_size=10),
)
@settings(max_examples=100)
def test_lines_do_not_depend_on_the_pieces_they_come_in(chunks: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(chunks) + b"\n"
    whole, pieces = Lines(), Lines()
    expected = whole.feed(stream)
    marks = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    got = [line for low, high in pairwise(marks) for line in pieces.feed(stream[low:high])]
    assert got == expected
    assert pieces.damaged == whole.damaged


def test_lines_that_cannot_be_read_are_dropped_and_counted_and_empty_ones_are_none() -> None:
    lines = Lines()
    assert lines.feed(b"one\r\n\r\n\ntwo\n") == ["one", "two"]
    assert lines.damaged == 0
    assert lines.feed(b"\xff\xfethree\nfour\n") == ["four"]
    assert lines.feed(b"a\rb\n") == []
    assert lines.damaged == 2
    assert lines.feed(b"7" * 100_000) == []
    assert lines.feed(b"1;0;5\nfive\n") == ["five"], "the end of a line too long is no line"
    assert lines.damaged == 3
