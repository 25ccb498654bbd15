"""Telegrams of the digitizer against bytes written by hand; any split, any damage, any garbage."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.ports import Resistor
from bmsctl.protocols import cobs, digitizer
from bmsctl.protocols.digitizer import (
    Block,
    Command,
    Deframer,
    ErrorCode,
    Failed,
    Identity,
    Inserted,
    Mean,
    Message,
    Order,
    Restarted,
    Stopped,
)

FRAMES = tomllib.loads((Path(__file__).parents[2] / "golden/digitizer/frames.toml").read_text())

ORDERS = {
    "identify": Order(Command.IDENTIFY, 7),
    "mean": Order(Command.MEAN, 8, 200),
    "start": Order(Command.START, 9),
    "stop": Order(Command.STOP, 10),
    "off": Order(Command.STOP, digitizer.OFF_SEQUENCE),
    "insert": Order(Command.INSERT, 12, resistor=Resistor.REFERENCE),
    "insert_none": Order(Command.INSERT, 13),
}
MESSAGES: dict[str, Message] = {
    "identity": Identity(7, "DIG3-000017", "1.4.2"),
    "mean_answer": Mean(8, 200, 0, (15.0, -15.0, 0.0), (0.05, 0.050001, 0.0)),
    "stop_answer": Stopped(10, 632),
    "inserted": Inserted(12, {Resistor.REFERENCE}),
    "restarted": Restarted(0),
    "error": Failed(11, 0x33, ErrorCode.UNKNOWN_COMMAND),
    "block": Block(9, 5, 0, bytes.fromhex("80 80 7F 7F 4D AC")),
}


def golden(name: str, part: str) -> bytes:
    return bytes.fromhex(FRAMES[name][part])


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE bit by bit, as a shift register."""
    register = 0xFFFF
    for byte in data:
        for bit in range(7, -1, -1):
            out = register >> 15 ^ byte >> bit & 1
            register = (register << 1 & 0xFFFF) ^ (0x1021 if out & 1 else 0)
    return register


@pytest.mark.parametrize("name", FRAMES)
def test_the_golden_frames_are_payload_and_crc_stuffed(name: str) -> None:
    assert crc16(b"123456789") == 0x29B1
    whole = golden(name, "payload") + golden(name, "crc")
    assert crc16(golden(name, "payload")).to_bytes(2, "big") == golden(name, "crc")
    frame = golden(name, "frame")
    assert (frame[-1], cobs.decode(frame[:-1])) == (0, whole)
    assert digitizer.frame(golden(name, "payload")) == frame


@pytest.mark.parametrize("name", ORDERS)
def test_commands_are_the_golden_payloads(name: str) -> None:
    assert digitizer.encode_command(ORDERS[name]) == golden(name, "payload")
    assert digitizer.decode_command(golden(name, "payload")) == ORDERS[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_answers_and_blocks_are_the_golden_payloads(name: str) -> None:
    assert digitizer.encode_message(MESSAGES[name]) == golden(name, "payload")
    message = digitizer.decode_message(golden(name, "payload"))
    if isinstance(message, Mean):
        assert message.mean_v == pytest.approx((15.0, -15.0, 0.0))
        assert message.sd_v == pytest.approx((0.05, 0.050001, 0.0))
    else:
        assert message == MESSAGES[name]


def test_samples_are_twos_complement_times_the_step() -> None:
    assert digitizer.samples_v(golden("block", "payload")[8:]).tolist() == [
        [0.0, -1000.0 / 32768, 11469 * 1000.0 / 32768]
    ]


@given(st.lists(st.tuples(*[st.integers(-32768, 32767)] * 3), min_size=1, max_size=100))
def test_any_counts_come_back(samples: list[tuple[int, int, int]]) -> None:
    counts = np.array(samples, dtype=np.int16)
    assert np.array_equal(digitizer.samples_v(digitizer.raw_samples(counts)), counts * (1000.0 / 32768))


@pytest.mark.parametrize("number", range(4))
def test_every_resistor_has_its_number_and_its_contact(number: int) -> None:
    resistor = (None, Resistor.R0_MINUS, Resistor.R0_PLUS, Resistor.REFERENCE)[number]
    order = digitizer.decode_command(bytes((0x10, 5, number)))
    assert order == Order(Command.INSERT, 5, resistor=resistor)
    contacts = digitizer.decode_message(bytes((0x90, 5, 1 << number >> 1)))
    assert contacts == Inserted(5, set() if resistor is None else {resistor})


@given(st.sets(st.sampled_from(list(Resistor))))
def test_any_contacts_survive(resistors: set[Resistor]) -> None:
    assert digitizer.decode_message(digitizer.encode_message(Inserted(9, resistors))) == Inserted(9, resistors)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ("33 05", ErrorCode.UNKNOWN_COMMAND),
        ("01 05 00", ErrorCode.WRONG_LENGTH),
        ("02 05", ErrorCode.WRONG_LENGTH),
        ("02 05 00 00", ErrorCode.OUT_OF_RANGE),
        ("02 05 11 27", ErrorCode.OUT_OF_RANGE),
        ("10 05", ErrorCode.WRONG_LENGTH),
        ("10 05 04", ErrorCode.OUT_OF_RANGE),
    ],
    ids=["unknown", "too long", "too short", "n = 0", "n = 10001", "no resistor", "resistor 4"],
)
def test_what_is_no_command_has_an_answer(payload: str, error: ErrorCode) -> None:
    data = bytes.fromhex(payload)
    assert digitizer.decode_command(data) == Failed(5, data[0], error)


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "40",
        "40 09 00 00 00 00 00 00",
        "40 09 00 00 00 00 00 02 80 80 80 80 80 80",
        "40 09 00 00 00 00 00 65" + " 80" * 606,
        "82 08 C8 00",
        "81 07 FF FE",
        "83 09 00",
        "FF 0B 33 09",
        "77 01",
        "90 0C",
        "90 0C 08",
        "FE 00 00",
    ],
    ids=[
        "empty",
        "one byte",
        "no sample",
        "too few",
        "101 samples",
        "short",
        "not ASCII",
        "long",
        "error 9",
        "type",
        "no contacts",
        "contact 4",
        "long restart",
    ],
)
def test_what_is_no_message_is_none(payload: str) -> None:
    assert digitizer.decode_message(bytes.fromhex(payload)) is None


@given(st.binary(max_size=700))
def test_arbitrary_payloads_never_raise(payload: bytes) -> None:
    digitizer.decode_message(payload)
    digitizer.decode_command(payload)


PAYLOADS = st.lists(st.binary(min_size=1, max_size=digitizer.PAYLOAD_MAX), max_size=4)


@given(PAYLOADS, st.data())
def test_frames_are_found_however_the_bytes_are_split(payloads: list[bytes], choose: st.DataObject) -> None:
    stream = b"".join(digitizer.frame(payload) for payload in payloads)
    cuts = sorted(choose.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    deframer = Deframer()
    found: list[bytes] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += deframer.feed(stream[begin:end])
    assert found == payloads
    assert deframer.damaged == 0


@given(st.binary(max_size=3000), PAYLOADS)
def test_after_any_garbage_the_next_zero_resynchronises(garbage: bytes, payloads: list[bytes]) -> None:
    deframer = Deframer()
    deframer.feed(garbage + b"\0")
    found = [payload for frame in map(digitizer.frame, payloads) for payload in deframer.feed(frame)]
    assert found == payloads


@settings(derandomize=True)  # one change in 65536 leaves a valid CRC
@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_changed_byte_is_dropped_and_counted(payload: bytes, choose: st.DataObject) -> None:
    frame = bytearray(digitizer.frame(payload))
    at = choose.draw(st.integers(0, len(frame) - 2))
    frame[at] ^= choose.draw(st.integers(1, 255))
    deframer = Deframer()
    assert deframer.feed(bytes(frame)) == []
    assert deframer.damaged >= 1
    assert deframer.feed(digitizer.frame(b"next")) == [b"next"]


def test_a_frame_without_end_is_one_damage_and_keeps_no_memory() -> None:
    deframer = Deframer()
    for _ in range(1000):
        assert deframer.feed(b"\x55" * 100) == []
    assert deframer.feed(b"\x55\0" + digitizer.frame(b"next")) == [b"next"]
    assert deframer.damaged == 1
    assert len(deframer._rest) == 0
