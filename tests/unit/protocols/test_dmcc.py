"""Telegrams of the code reader against bytes written by hand; any split, any damage."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols import dmcc
from bmsctl.protocols.dmcc import Answer, Command, Status, Telegrams

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/scanner/telegrams.toml").read_text())

COMMANDS = {"trigger_on": Command(7, "TRIGGER ON"), "trigger_off": Command(8, "TRIGGER OFF")}
ANSWERS = {
    "ok": Answer(7, Status.OK),
    "invalid": Answer(7, Status.COMMAND_INVALID),
    "no_read": Answer(0, Status.READ),
    "read": Answer(0, Status.READ, "295B08142R;AS52000000001"),
    "read_separators": Answer(0, Status.READ, "[)>\x1e06\x1dP295B\x1e\x04"),
}


def golden(name: str) -> bytes:
    return bytes.fromhex(GOLDEN[name]["bytes"])


def test_every_golden_telegram_is_tested() -> None:
    assert set(GOLDEN) == {*COMMANDS, *ANSWERS}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(name: str) -> None:
    assert dmcc.encode_command(COMMANDS[name]) == golden(name)
    (telegram,) = Telegrams().feed(golden(name))
    assert dmcc.decode_command(telegram) == COMMANDS[name]


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str) -> None:
    assert dmcc.encode_answer(ANSWERS[name]) == golden(name)
    (telegram,) = Telegrams().feed(golden(name))
    assert dmcc.decode_answer(telegram) == ANSWERS[name]


@pytest.mark.parametrize("checksum", [0x0A, 0x0D])
def test_a_checksum_that_looks_like_the_footer_is_none(checksum: int) -> None:
    telegrams = Telegrams()
    body = b"||1:7[0]" + bytes((0x0A ^ checksum,)) if checksum != 0x0A else b"||1:7[0]"
    assert telegrams.feed(body + bytes((checksum,)) + b"\r\n" + golden("ok")) == [body, b"||1:7[0]"]
    assert telegrams.damaged == 0


@given(st.lists(st.sampled_from(sorted(GOLDEN)), max_size=4), st.lists(st.integers(0, 300), max_size=6))
def test_any_split_gives_the_same(names: list[str], cuts: list[int]) -> None:
    stream = b"".join(golden(name) for name in names)
    marks = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    telegrams = Telegrams()
    pieces = [stream[a:b] for a, b in pairwise(marks)]
    assert [t for piece in pieces for t in telegrams.feed(piece)] == [golden(name)[:-3] for name in names]
    assert telegrams.damaged == 0


@given(st.sampled_from(sorted(GOLDEN)), st.integers(0, 200), st.integers(1, 255))
def test_one_damaged_byte_never_passes(name: str, at: int, flip: int) -> None:
    damaged = bytearray(golden(name))
    damaged[at % len(damaged)] ^= flip
    telegrams = Telegrams()
    assert [dmcc.decode_answer(t) for t in telegrams.feed(bytes(damaged)) if dmcc.decode_answer(t)] == []
    *left_over, last = telegrams.feed(b"\r\n" + golden("read"))
    assert [dmcc.decode_answer(telegram) for telegram in left_over if dmcc.decode_answer(telegram)] == []
    assert last == golden("read")[:-3]


@given(st.binary(max_size=64))
def test_garbage_is_no_telegram(garbage: bytes) -> None:
    for telegram in Telegrams().feed(garbage + b"\r\n"):
        assert dmcc.decode_answer(telegram) is None


def test_a_stream_without_footer_is_dropped_and_the_next_telegram_read() -> None:
    telegrams = Telegrams()
    assert telegrams.feed(b"7" * 5000) == []
    assert telegrams.damaged == 1
    assert telegrams.feed(golden("ok")) == [b"||1:7[0]"]


@pytest.mark.parametrize("content", ["A\x07B", "A\rB", "\x00", "\x7f", "\x1b[2J"])
def test_other_control_characters_are_no_labels(content: str) -> None:
    (telegram,) = Telegrams().feed(dmcc.encode_answer(Answer(0, Status.READ, content)))
    assert dmcc.decode_answer(telegram) is None


@pytest.mark.parametrize(
    "text", [b"||1:7[99]", b"||1:7[1]A", b"||1:7[1]====", b"||0:7[0]", b"||1:7[0] ", b"||1:7[1]/w=="]
)
def test_what_is_no_answer_is_none(text: bytes) -> None:
    assert dmcc.decode_answer(text) is None


@pytest.mark.parametrize("text", [b"||1:7>", b"||0:7>TRIGGER ON", b"TRIGGER ON", b"||1:7>TRIGGER ON\x07"])
def test_what_is_no_command_is_none(text: bytes) -> None:
    assert dmcc.decode_command(text) is None
