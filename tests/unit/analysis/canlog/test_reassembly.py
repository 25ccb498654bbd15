"""ISO 15765-2 as a listener: frames pinned from the standard, every way to lose a message, and our own sender."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.canlog.reassembly import Fault, FaultKind, Message, Reassembler
from bmsctl.protocols.isotp import N_CR_S, IsoTp
from tests.unit.protocols.test_isotp import ManualTimer

ID = 0x7E8


def heard(*frames: tuple[float, str], room: int = 8) -> tuple[list[Message], list[Fault]]:
    """What frames of one sender make; a frame that begins with 3 is the receiver's flow control."""
    faults: list[Fault] = []
    found, messages = Reassembler(ID, faults, room), []
    time_s = 0.0
    for time_s, data in frames:
        if data.startswith("3"):
            found.flow_control(time_s, bytes.fromhex(data))
        else:
            messages.append(found.frame(time_s, bytes.fromhex(data)))
    found.end(time_s)
    return [message for message in messages if message is not None], faults


def kinds(faults: list[Fault]) -> list[FaultKind]:
    return [fault.kind for fault in faults]


def test_a_single_frame() -> None:
    assert heard((1.0, "03 22 F1 90 AA AA AA AA")) == ([Message(1.0, 1.0, bytes.fromhex("22F190"))], [])
    assert heard((1.0, "07 01 02 03 04 05 06 07"))[0][0].data == bytes(range(1, 8))


def test_a_message_of_several_frames() -> None:
    frames = (
        (1.0, "10 14 62 F1 90 57 30 4C"),
        (1.1, "30 00 00"),
        (1.2, "21 30 30 30 30 34 33 4D"),
        (1.3, "22 42 35 34 31 33 32 36"),
    )
    assert heard(*frames) == ([Message(1.0, 1.3, b"\x62\xf1\x90W0L000043MB541326")], [])


def test_the_sequence_number_wraps_from_f_to_0() -> None:
    data = bytes(range(6 + 7 * 17))
    frames = [(0.0, f"10 {len(data):02X} " + data[:6].hex())]
    frames += [(0.0, f"2{(i + 1) % 16:X}" + data[6 + 7 * i : 13 + 7 * i].hex()) for i in range(17)]
    assert heard(*frames) == ([Message(0.0, 0.0, data)], [])


def test_an_address_in_the_first_byte_leaves_one_byte_less() -> None:
    frames = ((0.0, "10 0B 01 02 03 04 05"), (0.0, "21 06 07 08 09 0A 0B"))
    assert heard(*frames, room=7) == ([Message(0.0, 0.0, bytes(range(1, 12)))], [])
    assert kinds(heard(*frames)[1]) == [FaultKind.MALFORMED, FaultKind.ORPHAN], "a first frame is full"


def test_can_fd_has_its_own_lengths() -> None:
    assert heard((0.0, "00 0A" + "11" * 10))[0][0].data == b"\x11" * 10
    long = bytes(range(100))
    frames = ((0.0, "10 64" + long[:62].hex()), (0.0, "21" + long[62:].hex()))
    assert heard(*frames)[0][0].data == long
    assert heard((0.0, "10 00 00 00 10 00 AA BB"))[1][0].text == "2 of 4096 bytes had come", "the long form of a length"
    assert kinds(heard((0.0, "0A" + "11" * 11))[1]) == [FaultKind.MALFORMED]


@pytest.mark.parametrize(
    ("frames", "expected", "text"),
    [
        (["21 01 02 03 04 05 06 07", "22 01"], [FaultKind.ORPHAN], "21 01 02 03 04 05 06 07"),
        (
            ["10 14 00 00 00 00 00 00", "22 00", "23 00"],
            [FaultKind.MISSING],
            "2 came where 1 was due, 6 of 20 bytes had come",
        ),
        (["10 14 00 00 00 00 00 00", "02 3E 00"], [FaultKind.INTERRUPTED], "6 of 20 bytes had come"),
        (
            ["10 14 00 00 00 00 00 00", "10 08 00 00 00 00 00 00", "21 00 00"],
            [FaultKind.INTERRUPTED],
            "6 of 20 bytes had come",
        ),
        (["10 14 00 00 00 00 00 00", "32 00 00"], [FaultKind.OVERFLOW], "6 of 20 bytes had come"),
        (["10 14 00 00 00 00 00 00", "30 00 00"], [FaultKind.CUT_OFF], "6 of 20 bytes had come"),
        (
            ["10 14 00 00 00 00 00 00", "21 00 00"],
            [FaultKind.MALFORMED],
            "21 00 00 is too short, 6 of 20 bytes had come",
        ),
        (["00 00"], [FaultKind.MALFORMED], "00 00"),
        (["04 22 F1 90"], [FaultKind.MALFORMED], "04 22 F1 90"),
        (["10 07 00 00 00 00 00 00"], [FaultKind.MALFORMED], "10 07 00 00 00 00 00 00"),
        (["40 00"], [FaultKind.MALFORMED], "40 00"),
        (["33 00 00"], [FaultKind.MALFORMED], "33 00 00"),
        (["30"], [FaultKind.MALFORMED], "30"),
        ([""], [FaultKind.MALFORMED], "no data"),
    ],
)
def test_each_fault_is_named_once(frames: list[str], expected: list[FaultKind], text: str) -> None:
    _, faults = heard(*((1.0, frame) for frame in frames))
    assert kinds(faults) == expected
    assert (faults[0].time_s, faults[0].can_id, faults[0].text) == (1.0, ID, text)


def test_a_late_frame_ends_the_message_unless_the_receiver_asked_for_patience() -> None:
    first, last = "10 0A 00 00 00 00 00 00", "21 01 02 03 04"
    late = 1.0 + N_CR_S + 0.001
    messages, faults = heard((1.0, first), (late, last))
    assert (messages, kinds(faults)) == ([], [FaultKind.LATE])
    assert faults[0].text == "1.001 s, 6 of 10 bytes had come"
    assert heard((1.0, first), (1.0 + N_CR_S / 2, "31 00 00"), (late, last))[0][0].end_s == late
    assert len(heard((math.nan, first), (math.nan, last))[0]) == 1, "without times nothing is late"
    assert len(heard((5.0, first), (1.0, last))[0]) == 1, "neither where times go back"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5))
def test_hears_what_our_own_sender_sends(messages: list[bytes]) -> None:
    sent: list[bytes] = []
    sender = IsoTp(ManualTimer(), sent.append, lambda message: None, lambda fault: None)
    for message in messages:
        sender.transmit(message)
        sender.frame(bytes.fromhex("300000"))
    assert [found.data for found in heard(*((0.0, frame.hex()) for frame in sent))[0]] == messages


@given(st.lists(st.binary(max_size=12), max_size=20))
def test_any_frames_are_taken(frames: list[bytes]) -> None:
    messages, faults = heard(*((0.0, frame.hex()) for frame in frames))
    assert len(messages) + len(faults) <= 2 * len(frames) + 1
