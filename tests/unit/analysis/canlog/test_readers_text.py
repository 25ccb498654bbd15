"""ASC, TRC and CRTD: examples with every kind of line, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import can
import numpy as np
import pytest

from bmsctl.analysis.canlog.frames import EXTENDED
from bmsctl.analysis.canlog.readers import asc, read_log, trc
from tests.support.logs import FOLDER, data_of, rows, whys

BMS = 0x18DAF1DB | int(EXTENDED)
START_S = (42000.5 - 25569) * 86400.0


def test_asc_with_every_kind_of_event() -> None:
    found = read_log(FOLDER / "damaged.asc")
    assert rows(found) == [
        ("1", 0x123, "1122334455667788"),
        ("2", BMS, "0A0B0C"),
        ("1", 0x1C4, "0102030405060708090A0B0C"),
        ("2", 0x1C5 | int(EXTENDED), "AABB"),
    ]
    assert found.time_s.tolist() == [2.501, 2.502, 2.505, 2.506]
    assert found.received.tolist() == [True, False, True, False]
    assert found.fd.tolist() == [False, False, True, False], "a classic frame of a CAN FD channel is classic"
    assert (found.error_frames, found.remote_frames) == (2, 1)
    assert whys(found) == [
        (18, "3 of 8 data bytes"),
        (19, "'11 GG' are no data bytes of two hexadecimal digits"),
        (20, "identifier 'EngineData' is no number of base 16"),
        (21, "identifier 823 has more than 11 bits"),
        (22, "is no event of ASC"),
        (23, "'something' is no time"),
        (24, "direction 'Up' is not known"),
        (25, "is no event of ASC"),
        (26, "goes on behind the data of the frame"),
    ]


def test_asc_in_decimal_numbers_and_times_from_the_event_before() -> None:
    found = read_log(FOLDER / "decimal.asc")
    assert rows(found) == [("1", 291, "11FF00"), ("1", BMS, "10")]
    assert found.time_s.tolist() == [0.5, 1.25], "each line moves the time on, frame or not"
    assert whys(found) == [(6, "data byte 256 is above 255")]


def test_asc_agrees_with_python_can(tmp_path: Path) -> None:
    check_against_python_can(tmp_path / "peer.asc", (1, 8, 64))


def test_trc_agrees_with_python_can(tmp_path: Path) -> None:
    check_against_python_can(tmp_path / "peer.trc", ())


def check_against_python_can(path: Path, fd_lengths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(7)
    with can.Logger(path) as writer:
        for number in range(200):
            extended, fd = bool(rng.integers(2)), bool(fd_lengths) and bool(rng.integers(2))
            writer.on_message_received(
                can.Message(
                    timestamp=1.7e9 + number * 1e-3,
                    arbitration_id=int(rng.integers(1 << (29 if extended else 11))),
                    is_extended_id=extended,
                    is_fd=fd,
                    data=rng.bytes(int(rng.choice(fd_lengths if fd else (0, 3, 8)))),
                    is_rx=bool(rng.integers(2)),
                    channel=int(rng.integers(2)),
                )
            )
    found = read_log(path)
    with can.LogReader(path) as reader:
        peer = list(reader)
    assert (found.count, len(peer), found.malformed_lines) == (200, 200, 0)
    for i, message in enumerate(peer):
        assert data_of(found, i) == message.data
        assert int(found.can_id[i]) == message.arbitration_id | message.is_extended_id << 31
        assert (found.received[i], found.fd[i]) == (message.is_rx, message.is_fd)
        assert found.time_s[i] == pytest.approx(message.timestamp, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "frames", "times_ms", "received", "counts", "bad"),
    [
        (
            "version_1_0",
            [("1", 0x123, "0011223344556677"), ("1", BMS, "AABB")],
            [1841.0, 1845.0],
            [True, True],
            (1, 1),
            [(11, "3 of 8 data bytes")],
        ),
        (
            "version_1_1",
            [("1", 0x123, "AABB"), ("1", BMS, "01")],
            [1000.5, 1002.0],
            [True, False],
            (1, 1),
            [(8, "type 'Up' is not known")],
        ),
        (
            "version_1_3",
            [("1", 0x123, "AABB"), ("2", BMS, "01")],
            [1000.5, 1001.0],
            [True, False],
            (0, 0),
            [(5, "1 of 8 data bytes")],
        ),
        (
            "version_2_0",
            [("1", 0x300, "001122"), ("1", BMS, "000102030405060708090A0B")],
            [1059.9, 1060.1],
            [True, False],
            (0, 0),
            [],
        ),
        (
            "version_2_1",
            [("1", 0x300, "00112233445566"), ("2", BMS, "000102030405060708090A0B"), ("1", 0x300, "")],
            [1059.9, 1060.1, 1060.6],
            [True, False, True],
            (1, 1),
            [
                (12, "type 'XX' is not known"),
                (13, "1 of 2 data bytes"),
                (14, "has 4 of 9 columns"),
            ],
        ),
    ],
)
def test_trc_of_each_version(
    name: str,
    frames: list[tuple[str, int, str]],
    times_ms: list[float],
    received: list[bool],
    counts: tuple[int, int],
    bad: list[tuple[int, str]],
) -> None:
    found = read_log(FOLDER / f"{name}.trc")
    assert rows(found) == frames
    start_s = 0.0 if name == "version_1_0" else START_S
    assert found.time_s.tolist() == pytest.approx([start_s + time_ms / 1000.0 for time_ms in times_ms], abs=1e-6)
    assert found.received.tolist() == received
    assert found.fd.tolist() == [len(data) > 16 for _, _, data in frames]
    assert (found.error_frames, found.remote_frames) == counts
    assert whys(found) == bad


def test_crtd_with_every_kind_of_record() -> None:
    found = read_log(FOLDER / "damaged.crtd")
    assert rows(found) == [("1", 0x100, "0203"), ("2", BMS, "0203FF"), ("1", 0x7E8, "")]
    assert found.time_s.tolist() == [1320745424.002, 1320745424.003, 1320745424.004]
    assert found.received.tolist() == [True, False, True]
    assert whys(found) == [
        (7, "identifier 800 has more than 11 bits"),
        (8, "a data byte has more than two digits"),
        (9, "9 data bytes; such a frame has at most 8"),
        (10, "is no record of CRTD"),
        (11, "has no identifier"),
        (12, "is no record of CRTD"),
        (13, "data byte 'GG' is no number of base 16"),
    ]


def test_numbers_are_plain_ascii() -> None:
    """Python's own int and float take more than a log may hold."""
    found = asc.read("1.0 1 1_2 Rx d 0\n1.0 1 +12 Rx d 0\n１.0 1 12 Rx d 0\n1e3 1 12 Rx d 0\n".encode(), "")
    assert (found.count, found.malformed_lines) == (0, 4)
    found = trc.read("1) 1_0 0300 0\n2) 10 0300 ٣\n3) inf 0300 0\n".encode(), "")
    assert (found.count, found.malformed_lines) == (0, 3)
