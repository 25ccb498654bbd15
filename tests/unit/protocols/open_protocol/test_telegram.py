"""Telegrams out of a stream of bytes: every form of the header, any split, any damage."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols.open_protocol import LENGTH_MAX, Telegram, Telegrams, encode

KEEP_ALIVE = b"00209999001         \0"
SELECT = b"00230018001         002\0"

numbers = st.one_of(st.none(), st.integers(0, 99))
telegrams = st.builds(
    Telegram,
    st.integers(0, 9999),
    st.integers(1, 999),
    st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"0")),
    st.booleans(),
    numbers,
    numbers,
    numbers,
)


@pytest.mark.parametrize(
    ("encoded", "telegram"),
    [
        (SELECT, Telegram(18, 1, b"002")),
        (b"00200060002         \0", Telegram(60, 2)),
        (b"002000600011        \0", Telegram(60, no_ack=True)),
        (b"00200060001 01      \0", Telegram(60, station=1)),
        (b"00200060001   02    \0", Telegram(60, spindle=2)),
        (b"00200060001     17  \0", Telegram(60, sequence=17)),
        (b"002000609981987654  \0", Telegram(60, 998, b"", True, 98, 76, 54)),
    ],
)
def test_every_field_of_the_header_has_its_place(encoded: bytes, telegram: Telegram) -> None:
    assert encode(telegram) == encoded
    assert Telegrams().feed(encoded) == [telegram]


@pytest.mark.parametrize("encoded", [b"00200060            \0", b"00200060000         \0", b"002000600010      00\0"])
def test_a_header_says_the_same_in_several_ways(encoded: bytes) -> None:
    assert Telegrams().feed(encoded) == [Telegram(60)]


@pytest.mark.parametrize(
    "damaged",
    [
        b"00219999001         \0",  # one character less than it says
        b"00199999001         \0",  # one more
        b"00209999001        \0",  # shorter than a header
        b"x0209999001         \0",
        b"00209 99001         \0",
        b"00209999 01         \0",
        b"002099990012        \0",
        b"00209999001 x       \0",
        b"00209999001 1       \0",
        b"00209999001       21\0",  # the first part of two
        b"-0209999001         \0",
        b"\xff0209999001         \0",
        b"0\0",
    ],
)
def test_what_is_no_telegram_is_dropped_and_counted(damaged: bytes) -> None:
    stream = Telegrams()
    assert stream.feed(SELECT + damaged + KEEP_ALIVE) == [Telegram(18, 1, b"002"), Telegram(9999)]
    assert stream.damaged == 1


def test_a_missing_nul_costs_two_telegrams() -> None:
    stream = Telegrams()
    assert stream.feed(SELECT[:-1] + SELECT + KEEP_ALIVE) == [Telegram(9999)]
    assert stream.damaged == 1


def test_nothing_between_two_nuls_is_nothing() -> None:
    stream = Telegrams()
    assert stream.feed(b"\0\0" + KEEP_ALIVE + b"\0") == [Telegram(9999)]
    assert stream.damaged == 0


@pytest.mark.parametrize("piece", [1, 1000, 4 * LENGTH_MAX])
def test_garbage_without_end_is_one_damage_and_keeps_no_memory(piece: int) -> None:
    stream = Telegrams()
    garbage = b"0" * (4 * LENGTH_MAX)
    for at in range(0, len(garbage), piece):
        assert stream.feed(garbage[at : at + piece]) == []
        assert len(stream._rest) <= LENGTH_MAX
    assert stream.feed(b"\0" + KEEP_ALIVE) == [Telegram(9999)]
    assert stream.damaged == 1


def test_the_longest_telegram_is_one() -> None:
    longest = Telegram(900, 1, b"1" * (LENGTH_MAX - 20))
    encoded = encode(longest)
    assert Telegrams().feed(encoded) == [longest]
    stream = Telegrams()
    assert stream.feed(encoded[:-1]) == []
    assert stream.feed(encoded[-1:]) == [longest]


@given(st.lists(telegrams, max_size=4), st.lists(st.integers(0, 250), max_size=6))
def test_any_split_gives_the_same(sent: list[Telegram], cuts: list[int]) -> None:
    encoded = b"".join(encode(telegram) for telegram in sent)
    marks = sorted({0, len(encoded), *(min(cut, len(encoded)) for cut in cuts)})
    stream = Telegrams()
    heard = [telegram for low, high in pairwise(marks) for telegram in stream.feed(encoded[low:high])]
    assert heard == sent
    assert stream.damaged == 0


@pytest.mark.parametrize("at", range(len(SELECT + KEEP_ALIVE) + 1))
def test_every_split_of_two_gives_two(at: int) -> None:
    stream, encoded = Telegrams(), SELECT + KEEP_ALIVE
    assert stream.feed(encoded[:at]) + stream.feed(encoded[at:]) == [Telegram(18, 1, b"002"), Telegram(9999)]


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_no_bytes_raise_and_a_telegram_after_them_is_heard(pieces: list[bytes]) -> None:
    stream = Telegrams()
    for piece in pieces:
        stream.feed(piece)
    assert stream.feed(b"\0" + SELECT)[-1] == Telegram(18, 1, b"002")


@given(st.lists(st.sampled_from([b"0", b"2", b"0020", b"9999", b"001", b" ", b"\0", b"1"]), max_size=40))
def test_what_looks_like_a_header_does_not_raise_either(pieces: list[bytes]) -> None:
    stream = Telegrams()
    for telegram in stream.feed(b"".join(pieces) + b"\0"):
        assert stream.feed(encode(telegram)) == [telegram]


@pytest.mark.parametrize(
    ("telegram", "what"),
    [
        (Telegram(10_000), "MID 10000: MID 10000 does not fit into 4 digits"),
        (Telegram(-1), "MID -001: MID -1"),
        (Telegram(60, 1000), "MID 0060: revision 1000 does not fit into 3 digits"),
        (Telegram(60, station=100), "MID 0060: station 100 does not fit into 2 digits"),
        (Telegram(60, spindle=-1), "MID 0060: spindle -1"),
        (Telegram(60, sequence=100), "MID 0060: sequence number 100"),
        (Telegram(60, data=b"0" * 9980), "MID 0060: length 10000 does not fit into 4 digits"),
        (Telegram(60, data=b"0\x000"), "MID 0060: a NUL in the data"),
    ],
)
def test_what_does_not_fit_is_not_sent(telegram: Telegram, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        encode(telegram)
