"""The packet layout, byte by byte, and what is no packet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.hub import packets
from hil.hub.packets import PacketInvalid, check_frame, read_document, read_hello

GOOD = bytes.fromhex("01 00 02 00 23010000 0000000000000000 beef")


def test_the_bytes_of_each_packet() -> None:
    assert packets.frame(0, 2, 0x123, b"\xbe\xef") == GOOD
    flags = packets.EXTENDED | packets.FD | packets.BITRATE_SWITCH
    assert packets.frame(flags, 1, 0x18DAF110, b"\x7f", 0x0102030405060708) == bytes.fromhex(
        "01 19 01 00 10f1da18 0807060504030201 7f"
    )
    assert packets.error_frame(packets.ERR_BUS_OFF, packets.ERR_NO_DETAIL, 1) == bytes.fromhex(
        "01 04 08 00 40000000 0100000000000000 0000000000000000"
    )
    assert packets.dropped(70000) == bytes.fromhex("02 000000 70110100")
    assert packets.hello(packets.CAN_FD | packets.CONTROL, "bms") == bytes.fromhex("03 01 05 626d73")
    assert packets.document(packets.REQUEST, {"do": "traffic"}) == b'\x06{"do":"traffic"}'
    assert packets.document(packets.REPLY, {"ok": None}) == b'\x07{"ok":null}'


def test_error_classes_are_those_of_socketcan() -> None:
    assert packets.ERR_PASSIVE[1] == 0x30
    assert packets.ERR_FORM[2] == 0x02
    assert packets.ERR_BIT[2] == 0x01
    assert (packets.ERR_CONTROLLER, packets.ERR_PROTOCOL) == (0x004, 0x008)
    assert (packets.ERR_BUS_OFF, packets.ERR_BUS_ERROR, packets.ERR_RESTARTED) == (0x040, 0x080, 0x100)


def test_what_is_written_is_read() -> None:
    assert check_frame(GOOD) == (0, 0x123)
    assert check_frame(packets.frame(packets.EXTENDED, 0, 0x123, b"")) == (packets.EXTENDED, 0x123 | 1 << 31)
    assert check_frame(packets.frame(packets.REMOTE, 8, 5, b"")) == (packets.REMOTE, 5)
    assert packets.dropped_count(packets.dropped(5)) == 5
    assert read_hello(packets.hello(packets.RECEIVE_OWN, "Prüfplatz 1")) == (packets.RECEIVE_OWN, "Prüfplatz 1")
    assert read_document(b"\x06{}") == {}


def test_stamp_and_own_change_nothing_else() -> None:
    late = packets.stamped(GOOD, 258)
    assert late == bytes.fromhex("01 00 02 00 23010000 0201000000000000 beef")
    assert packets.own(late) == bytes.fromhex("01 40 02 00 23010000 0201000000000000 beef")
    assert packets.restamped(GOOD, late) == late


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_a_frame_cut_off_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(PacketInvalid):
        check_frame(GOOD[:cut])


@pytest.mark.parametrize(
    ("flags", "length", "can_id", "data", "why"),
    [
        (0, 9, 1, bytes(9), "no classic frame has 9 bytes"),
        (packets.FD, 9, 1, bytes(9), "no FD frame has 9 bytes"),
        (packets.FD, 65, 1, bytes(65), "no FD frame has 65 bytes"),
        (0, 2, 1, bytes(3), "a frame of 2 bytes came with 3"),
        (packets.REMOTE, 2, 1, bytes(2), "a frame of 2 bytes came with 2"),
        (0, 0, 0x800, b"", "id 0x800 is too large"),
        (packets.EXTENDED, 0, 1 << 29, b"", "id 0x20000000 is too large"),
        (packets.ERROR, 0, 1, b"", "not a client's"),
        (packets.OWN, 0, 1, b"", "not a client's"),
        (0x80, 0, 1, b"", "not a client's"),
        (packets.BITRATE_SWITCH, 0, 1, b"", "contradict"),
        (packets.FD | packets.REMOTE, 0, 1, b"", "contradict"),
    ],
)
def test_a_frame_that_can_does_not_have_is_refused(flags: int, length: int, can_id: int, data: bytes, why: str) -> None:
    with pytest.raises(PacketInvalid, match=why):
        check_frame(packets.frame(flags, length, can_id, data))


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"", "must be a hello"),
        (GOOD, "must be a hello"),
        (b"\x03\x02\x00x", "version 2"),
        (b"\x03\x01\x08x", "unknown options"),
        (b"\x03\x01\x00", "1 to 64"),
        (b"\x03\x01\x00" + b"x" * 65, "1 to 64"),
        (b"\x03\x01\x00a\nb", "printable"),
        (b"\x03\x01\x00\xff", "UTF-8"),
    ],
)
def test_an_unusable_hello_is_refused(packet: bytes, why: str) -> None:
    with pytest.raises(PacketInvalid, match=why):
        read_hello(packet)


@given(st.binary(max_size=120))
def test_garbage_is_refused_and_nothing_else(garbage: bytes) -> None:
    for read in (check_frame, read_hello, read_document):
        try:
            read(garbage)
        except PacketInvalid:
            continue


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(PacketInvalid):
        read_document(b"\x06" + b"[" * 100_000)
