"""The log of candump: every form, every damage, compiled and interpreted, against a twin and python-can."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import can
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.canlog.frames import EXTENDED, WHY_SHOWN, Frames
from bmsctl.analysis.canlog.readers import candump, candump_lines, read_log
from bmsctl.analysis.canlog.readers.collect import SPARE
from tests.reference.candump import parse
from tests.support.logs import FOLDER, data_of, drawn_messages, rows, whys

KERNELS = [name for name, value in vars(candump_lines).items() if isinstance(value, numba.core.dispatcher.Dispatcher)]
BMS = 0x18DAF1DB | int(EXTENDED)
HEXADECIMAL = st.text("0123456789abcdefABCDEF", max_size=20)
ALMOST = st.builds(
    "({}) {} {}#{}{}".format,
    st.from_regex(r"[0-9]{1,10}(\.[0-9]{0,9})?", fullmatch=True) | st.sampled_from(["", "x", "2015-07-10 06:17:32.25"]),
    st.sampled_from(["can0", "vcan1", "#", "é"]),
    st.sampled_from([3, 8]).flatmap(lambda size: st.text("0123456789abcdefABCDEF", min_size=size, max_size=size))
    | st.sampled_from(["20000080", "1FFFFFFF", "7FF", "12"]),
    HEXADECIMAL
    | st.sampled_from(["R", "R5", "#1", "#1" + "55" * 64, "11.22.33", "1122334455667788_9", "11 T", "11 R "]),
    st.sampled_from(["", "", "", " T", " R", " x", "\r", "1"]),
)
ANYTHING = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), max_size=30)


@contextmanager
def interpreted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in KERNELS:
            patch.setattr(candump_lines, name, getattr(candump_lines, name).py_func)
        yield


def read(text: str) -> Frames:
    return candump.read(text.encode(), "test.log")


def test_the_log_form_and_its_damages() -> None:
    found = read_log(FOLDER / "damaged.log")
    assert rows(found) == [
        ("vcan0", 0x044, "2A366C2BBA"),
        ("vcan1", BMS, "112233445566778899AABBCC"),
        ("vcan0", 0x7FF, ""),
    ]
    assert found.time_s.tolist() == [1436509052.249713, 1436509052.2498, 1436509052.24]
    assert found.received.tolist() == [True, False, True]
    assert found.fd.tolist() == [False, True, False]
    assert (found.error_frames, found.remote_frames, found.times_back) == (1, 1, 1)
    assert found.malformed_lines == 8
    assert whys(found) == [
        (6, "the time in parentheses is none"),
        (7, "the last data byte has only one digit"),
        (8, "a data byte has no two hexadecimal digits"),
        (10, "the identifier has more than 11 or 29 bits"),
        (11, "the identifier has neither 3 nor 8 hexadecimal digits"),
        (12, "goes on behind the data of the frame"),
        (13, "the time in parentheses is none"),
        (14, "has no time"),
    ]
    assert found.bad_lines[1].text == "(1436509052.250200) vcan0 044#2A366C2BB"


def test_the_form_on_a_screen_and_its_damages() -> None:
    found = read_log(FOLDER / "screen.log")
    assert rows(found) == [
        ("vcan0", 0x123, "112233"),
        ("can1", BMS, "112233445566778899AABBCC"),
        ("can1", 0x123, "48656C6C6F2100FF"),
    ]
    assert found.time_s[:2].tolist() == [1436509052.249713, 1436509052.249713]
    assert math.isnan(found.time_s[2]), "a line without a time has none"
    assert found.received.tolist() == [True, False, True]
    assert found.fd.tolist() == [False, True, False]
    assert (found.error_frames, found.remote_frames) == (1, 1)
    assert whys(found) == [
        (7, "has fewer data bytes than it announces"),
        (8, "the length in brackets is none of a frame"),
        (9, "goes on behind the data of the frame"),
        (10, "the identifier has neither 3 nor 8 hexadecimal digits"),
        (11, "is no line of candump"),
    ]


def test_columns_are_aligned_and_a_word_can_be_read_behind_the_last_frame() -> None:
    found = read("(1.0) a 123#112233\n(2.0) b 123#\n(3.0) a 123#4455")
    assert found.start.tolist() == [0, 3, 3]
    assert found.bus.tolist() == [0, 1, 0]
    assert found.buses == ("a", "b")
    assert found.data.tolist() == [0x11, 0x22, 0x33, 0x44, 0x55] + [0] * SPARE
    kinds = [found.time_s, found.can_id, found.bus, found.length, found.start, found.received, found.fd]
    assert [column.dtype.name for column in kinds] == ["float64", "uint32", "uint16", "uint8", "int64", "bool", "bool"]


def test_nothing_gives_nothing() -> None:
    for text in ("", "\n", "  \n\t\n", "# a comment\n"):
        found = read(text)
        assert (found.count, found.malformed_lines, found.buses) == (0, 0, ())


def test_only_the_first_damages_are_shown_and_all_are_counted() -> None:
    found = read("garbage\n" * 25)
    assert found.malformed_lines == 25
    assert [bad.line for bad in found.bad_lines] == list(range(1, WHY_SHOWN + 1))


def test_times_are_the_floats_that_python_reads() -> None:
    for text in ("1436509052.249713", "0.1", "7", "7.", "000.000123", "1234567890.25", "1.123456789"):
        assert read(f"({text}) a 123#").time_s[0] == float(text)
    assert read("(1436509052.249713123) a 123#").time_s[0] == pytest.approx(1436509052.249713123, abs=3e-7)
    for text in ("2000-02-29 00:00:00", "1970-01-01 00:00:01.5", "2026-12-31 23:59:59.000001"):
        frame = parse(f"({text}) a 123#")
        assert frame is not None
        assert read(f"({text}) a 123#").time_s[0] == pytest.approx(frame.time_s, abs=3e-7)
    for text in (
        "2000-13-01 00:00:00",
        "2000-01-00 00:00:00",
        "2000-01-01 24:00:00",
        "2000-01-01 00:60:00",
        "-1.0",
        "nan",
    ):
        assert whys(read(f"({text}) a 123#")) == [(1, "the time in parentheses is none")]


def test_more_channels_than_can_be_are_counted() -> None:
    text = "".join(f"(1.0) can{number} 123#11\n" for number in range(candump_lines.BUSES_MAX + 3))
    found = read(text)
    assert (found.count, found.malformed_lines, len(found.buses)) == (
        candump_lines.BUSES_MAX,
        3,
        candump_lines.BUSES_MAX,
    )
    assert found.bad_lines[0].why == f"is of a channel beyond the first {candump_lines.BUSES_MAX}"


def assert_is_the_twin(found: Frames, lines: list[str]) -> None:
    read_lines = [line for line in lines if line.strip(" \t\r\v\f") and not line.strip().startswith("#")]
    frames = [parse(line.strip("\r")) for line in read_lines]
    data = [frame for frame in frames if frame is not None and frame.kind == "data"]
    assert found.malformed_lines == frames.count(None)
    assert found.error_frames == sum(frame.kind == "error" for frame in frames if frame)
    assert found.remote_frames == sum(frame.kind == "remote" for frame in frames if frame)
    assert rows(found) == [(frame.bus, frame.can_id, frame.data.hex().upper()) for frame in data]
    assert found.time_s.tolist() == pytest.approx([frame.time_s for frame in data], rel=1e-15)
    assert found.received.tolist() == [frame.received for frame in data]
    assert found.fd.tolist() == [frame.fd for frame in data]


@settings(max_examples=60, deadline=None)
@given(st.lists(ALMOST, max_size=6))
def test_agrees_with_the_twin(lines: list[str]) -> None:
    assert_is_the_twin(read("\n".join(lines)), lines)


@settings(max_examples=30, deadline=None)
@given(st.lists(ALMOST | ANYTHING, max_size=4))
def test_interpreted_agrees_with_compiled(lines: list[str]) -> None:
    text = "\n".join(lines)
    with interpreted():
        twin = read(text)
    found = read(text)
    assert rows(found) == rows(twin)
    assert np.array_equal(found.time_s, twin.time_s, equal_nan=True)
    assert found.bad_lines == twin.bad_lines


def test_interpreted_reads_the_examples() -> None:
    for name in ("damaged.log", "screen.log"):
        with interpreted():
            twin = read_log(FOLDER / name)
        found = read_log(FOLDER / name)
        assert (rows(twin), twin.bad_lines) == (rows(found), found.bad_lines)


def test_agrees_with_python_can(tmp_path: Path) -> None:
    path = tmp_path / "peer.log"
    with can.CanutilsLogWriter(path) as writer:
        for message in drawn_messages(6, 300):
            writer.on_message_received(message)
    found = read_log(path)
    peer = list(can.CanutilsLogReader(io.StringIO(path.read_text())))
    assert (found.count, found.malformed_lines) == (300, 0)
    for i, message in enumerate(peer):
        assert data_of(found, i) == message.data
        assert int(found.can_id[i]) == message.arbitration_id | message.is_extended_id << 31
        assert (found.time_s[i], found.received[i], found.fd[i]) == (message.timestamp, message.is_rx, message.is_fd)
        assert found.buses[found.bus[i]] == message.channel


def test_kernels_release_the_interpreter_and_are_exact() -> None:
    assert {"parse", "_byte"} <= set(KERNELS)
    for name in KERNELS:
        options = getattr(candump_lines, name).targetoptions
        assert options["nogil"]
        assert not options.get("fastmath", False)


def test_one_thread_and_two_give_the_same_bits() -> None:
    text = (FOLDER / "damaged.log").read_text() * 50
    before = numba.get_num_threads()
    try:
        found = []
        for threads in (1, min(2, before)):
            numba.set_num_threads(threads)
            found.append(read(text))
    finally:
        numba.set_num_threads(before)
    assert found[0].time_s.tobytes() == found[1].time_s.tobytes()
    assert found[0].data.tobytes() == found[1].data.tobytes()
