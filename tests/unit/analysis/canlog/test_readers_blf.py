"""BLF: objects made by hand and by python-can, whole, cut off and damaged."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import can
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.canlog.frames import EXTENDED, Frames
from bmsctl.analysis.canlog.readers import LogError, blf
from tests.support.logs import data_of, drawn_messages, rows

NO_START = (0, 0, 0, 0, 0, 0, 0, 0)


def header(start: tuple[int, ...] = NO_START) -> bytes:
    return struct.pack(
        "<4sLBBBBBBBBQQLL8H8H", b"LOGG", 144, 5, 0, 0, 0, 2, 6, 8, 1, 0, 0, 0, 0, *start, *NO_START
    ).ljust(144, b"\0")


def thing(kind: int, body: bytes, ticks: int = 1_500_000, flags: int = 2) -> bytes:
    size = 32 + len(body)
    head = struct.pack("<4sHHLLLHHQ", b"LOBJ", 32, 1, size, kind, flags, 0, 0, ticks)
    return (head + body).ljust(size + size % 4, b"\0")


def container(content: bytes, method: int = 2) -> bytes:
    packed = zlib.compress(content) if method == 2 else content
    size = 32 + len(packed)
    head = struct.pack("<4sHHLLH6xL4x", b"LOBJ", 16, 1, size, 10, method, len(content))
    return (head + packed).ljust(size + size % 4, b"\0")


def message(can_id: int, data: bytes, flags: int = 0, channel: int = 1) -> bytes:
    return thing(86, struct.pack("<HBBL8sLBBH", channel, flags, len(data), can_id, data, 0, 0, 0, 0))


def fd_message(can_id: int, data: bytes) -> bytes:
    return thing(100, struct.pack("<HBBLLBBB5x64s", 2, 1, 15, can_id, 0, 0, 1, len(data), data))


def fd_message_64(can_id: int, data: bytes, valid: int, flags: int = 0x1000) -> bytes:
    fields = (1, 15, valid, 0, can_id, 0, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return thing(101, struct.pack("<BBBBLLLLLLLHBBL", *fields[:-1]) + data)


def read(*parts: bytes) -> Frames:
    return blf.read(header() + b"".join(parts), "test.blf")


def whys(frames: Frames) -> list[str]:
    return [f"{bad.text}: {bad.why}" for bad in frames.bad_lines]


def test_each_kind_of_frame() -> None:
    found = read(
        container(
            message(0x123, b"\x11\x22")
            + message(0x98DAF1DB, b"\x33", flags=0x01, channel=3)
            + message(0x123, b"", flags=0x80)
            + fd_message(0x98DAF1DB, bytes(range(12)))
            + fd_message_64(0x7FF, b"\x01\x02\x03", 5)
            + thing(73, bytes(32))
            + thing(2, bytes(8))
            + thing(4, bytes(24))
        )
    )
    assert rows(found) == [
        ("1", 0x123, "1122"),
        ("3", 0x18DAF1DB | int(EXTENDED), "33"),
        ("2", 0x18DAF1DB | int(EXTENDED), bytes(range(12)).hex().upper()),
        ("1", 0x7FF, "0102030000"),
    ]
    assert found.time_s.tolist() == [0.0015] * 4
    assert found.received.tolist() == [True, False, False, True]
    assert found.fd.tolist() == [False, False, True, True]
    assert (found.error_frames, found.remote_frames, found.malformed_lines) == (2, 1, 0)


def test_times_count_from_the_start_and_in_steps_of_either_kind() -> None:
    start = (2017, 9, 6, 30, 15, 6, 13, 191)
    data = header(start) + container(thing(1, struct.pack("<HBBL8s", 1, 0, 0, 5, b""), 12_345, flags=1))
    assert blf.read(data, "").time_s[0] == pytest.approx(1506783973.191 + 0.12345, abs=1e-6)


def test_objects_go_on_in_the_next_container_and_may_stand_outside_of_one() -> None:
    content = b"".join(message(number, bytes((number,))) for number in range(20))
    parts = [content[at : at + 100] for at in range(0, len(content), 100)]
    found = read(
        *(container(part, method) for part, method in zip(parts, (0, 2) * 10, strict=False)), message(99, b"\1")
    )
    assert [can_id for _, can_id, _ in rows(found)] == [*range(20), 99]
    assert found.malformed_lines == 0


def test_damages_are_counted_and_the_rest_is_read() -> None:
    good = container(message(1, b"\1"))
    torn = bytearray(container(message(2, b"\2")))
    torn[40] ^= 0xFF
    found = read(good, bytes(torn), good)
    assert [can_id for _, can_id, _ in rows(found)] == [1, 1]
    assert len(whys(found)) == found.malformed_lines == 1
    assert "cannot be unpacked" in whys(found)[0]

    assert whys(read(good, b"what is this?...", good)) == ["17 bytes at byte 213 of the file: is no object"]
    assert whys(read(container(message(1, b"\1"), method=7))) == [
        "container at byte 144 of the file: is packed by method 7, which is not known"
    ]
    assert whys(read(container(thing(86, b"\1")))) == [
        "object of type 86 at byte 0 of the container at byte 144 of the file: is too short"
    ]
    assert whys(read(container(message(0x800, b"")))) == [
        "object of type 86 at byte 0 of the container at byte 144 of the file: identifier 800 has more than 11 bits"
    ]
    assert whys(read(container(message(1, b"\1"))[:-9])) == [
        "container at byte 144 of the file: is cut off, or its size is wrong",
        "the last 37 bytes of the containers: is cut off",
    ]
    assert whys(read(container(message(1, b"\1")[:40]))) == ["the last 40 bytes of the containers: is cut off"]
    assert whys(blf.read(header()[:100], "")) == ["the header of the file: is cut off"]


def test_what_is_no_blf_is_refused_by_name() -> None:
    for data in (b"", b"LOGG", b"(1.0) can0 123#11\n" * 20):
        with pytest.raises(LogError, match=r"test\.blf: has no header"):
            blf.read(data, "test.blf")


def peer(path: Path, count: int) -> bytes:
    with can.BLFWriter(path, max_container_size=1000) as writer:
        for message in drawn_messages(8, count, 3):
            writer.on_message_received(message)
    return path.read_bytes()


def test_agrees_with_python_can(tmp_path: Path) -> None:
    path = tmp_path / "peer.blf"
    found = blf.read(peer(path, 300), "")
    with can.BLFReader(path) as reader:
        messages = list(reader)
    assert (found.count, len(messages), found.malformed_lines) == (300, 300, 0)
    for i, told in enumerate(messages):
        assert data_of(found, i) == told.data
        assert int(found.can_id[i]) == told.arbitration_id | told.is_extended_id << 31
        assert (found.time_s[i], found.received[i], found.fd[i]) == (told.timestamp, told.is_rx, told.is_fd)
        assert found.buses[found.bus[i]] == str(told.channel + 1)


def test_a_log_cut_off_anywhere_keeps_its_beginning(tmp_path: Path) -> None:
    data = peer(tmp_path / "peer.blf", 60)
    whole = rows(blf.read(data, ""))
    for end in range(144, len(data), 7):
        found = blf.read(data[:end], "")
        assert rows(found) == whole[: found.count]
        assert found.count == 60 or found.malformed_lines > 0 or end in ends_of_objects(data)


def ends_of_objects(data: bytes) -> set[int]:
    """Where a log may end without a trace of what is missing: right before an object, or within its padding."""
    return {at - padding for at in range(144, len(data)) if data.startswith(b"LOBJ", at) for padding in range(4)}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_damage_stops_the_reader(data: st.DataObject) -> None:
    log = bytearray(
        header()
        + container(message(1, b"\1") + fd_message(2, b"\2"))
        + container(fd_message_64(3, b"", 9))
        + message(4, b"")
    )
    for _ in range(data.draw(st.integers(1, 6))):
        log[data.draw(st.integers(4, len(log) - 1))] = data.draw(st.integers(0, 255))
    found = blf.read(bytes(log), "")
    assert found.count + found.malformed_lines + found.error_frames + found.remote_frames <= len(log)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_any_content_is_read_or_counted(content: bytes) -> None:
    found = read(container(content))
    assert found.count == 0 or b"LOBJ" in content
    assert found.malformed_lines > 0 or not content.strip(b"\0")
