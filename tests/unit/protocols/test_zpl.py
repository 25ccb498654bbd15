"""ZPL against text written by hand; nothing printed can become a command."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols import zpl
from bmsctl.protocols.zpl import Answers, HostStatus, Label, Trouble

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/label_printer/zpl.toml").read_text())
STATUSES = [name for name in GOLDEN if name not in ("label", "escape")]

labels = st.builds(Label, st.text(max_size=20), st.lists(st.text(max_size=20), max_size=3).map(tuple))


def status_of(name: str) -> HostStatus:
    row = GOLDEN[name]
    trouble = Trouble(0)
    for text in row["trouble"]:
        trouble |= Trouble[text]
    return HostStatus(trouble, row["formats"], row["partial"], row["remaining"])


def on_line(name: str) -> bytes:
    return b"".join(b"\x02" + string.encode() + b"\x03\r\n" for string in GOLDEN[name]["strings"])


def test_the_golden_label() -> None:
    row = GOLDEN["label"]
    label = Label(row["code"], tuple(row["lines"]))
    assert zpl.encode_label(label).decode("ascii") == row["zpl"]
    assert zpl.decode_label(row["zpl"].encode()) == label


def test_a_tilde_in_the_data_matrix_is_doubled() -> None:
    row = GOLDEN["escape"]
    assert row["field"].encode() in zpl.encode_label(Label(row["code"], ()))


@given(labels)
def test_no_text_becomes_a_command(label: Label) -> None:
    encoded = zpl.encode_label(label)
    assert zpl.decode_label(encoded) == label
    assert encoded.count(b"^XZ") == encoded.count(b"^XA") == 1
    assert encoded.count(b"~") == 1
    assert encoded.count(b"^FS") == 1 + len(label.lines)


@pytest.mark.parametrize("data", [b"^XA^XZ", b"", b"^XA^FO1,1^A0N,1,1^FH_^FDx^FS^XZ"])
def test_a_format_without_data_matrix_is_no_label(data: bytes) -> None:
    assert zpl.decode_label(data) is None


@pytest.mark.parametrize("name", STATUSES)
def test_statuses(name: str) -> None:
    assert zpl.encode_status(status_of(name)) == on_line(name)
    strings = Answers().feed(on_line(name))
    assert strings == GOLDEN[name]["strings"]
    assert zpl.decode_status(strings[0], strings[1], strings[2]) == status_of(name)


def test_only_a_printer_with_nothing_to_do_is_idle() -> None:
    ready = status_of("ready")
    assert ready.idle
    busy = (ready._replace(formats=1), ready._replace(partial=True), ready._replace(remaining=1))
    assert not any(status.idle for status in busy)


@given(st.integers(0, 2), st.integers(0, 33), st.integers(1, 255))
def test_garbage_in_a_status_is_no_status(string: int, at: int, flip: int) -> None:
    strings = list(GOLDEN["ready"]["strings"])
    at %= len(strings[string])
    other = chr(ord(strings[string][at]) ^ flip)
    strings[string] = strings[string][:at] + other + strings[string][at + 1 :]
    try:
        zpl.decode_status(strings[0], strings[1], strings[2])
    except ValueError:
        return
    assert other in "0123456789" or string == 2


def test_counts() -> None:
    assert zpl.encode_count(1204) == b'"1204"'
    assert zpl.decode_count('"1204"') == 1204
    for text in ("1204", '""', '"12 04"', '"-1"', '"?"', "", '"', '"1204" '):
        with pytest.raises(ValueError, match="label count"):
            zpl.decode_count(text)


@given(st.lists(st.integers(0, 120), max_size=6))
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    stream = on_line("ready") + b'"1204""1205"'
    marks = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    answers = Answers()
    pieces = [stream[a:b] for a, b in pairwise(marks)]
    assert [text for piece in pieces for text in answers.feed(piece)] == [
        *GOLDEN["ready"]["strings"],
        '"1204"',
        '"1205"',
    ]
    assert answers.damaged == 0


def test_noise_is_counted_once_and_costs_no_answer_after_it() -> None:
    answers = Answers()
    assert answers.feed(b"\xff\x00noise" + on_line("ready")) == GOLDEN["ready"]["strings"]
    assert answers.damaged == 1
    assert answers.feed(b"\x02030,0\xff" + on_line("ready")) == GOLDEN["ready"]["strings"]
    assert answers.damaged == 2
    assert answers.feed(b"\x02" + b"7" * 200) == []
    assert answers.damaged == 3
    assert answers.feed(b'\x02cut\x02short\x03"17"') == ["short", '"17"']
    answers.feed(b"\x02unfinished")
    answers.clear()
    assert answers.feed(b'"18"') == ['"18"']
