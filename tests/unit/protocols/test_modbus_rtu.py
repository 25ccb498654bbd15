"""Modbus telegrams against the specification's examples; any split, any damage, any garbage before."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols import modbus_rtu
from bmsctl.protocols.modbus_rtu import ExceptionCode, ExceptionResponse, Function, Replies, Reply, Request, Requests
from tests.reference.crc16 import crc16_bitwise

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/leak_tester/modbus.toml").read_text())
UNIT = 0x11

REQUESTS = {
    "read_holding": Request(UNIT, Function.READ_HOLDING, 0x6B, 3),
    "read_input": Request(UNIT, Function.READ_INPUT, 8, 1),
    "write_one": Request(UNIT, Function.WRITE_ONE, 1, 1, (3,)),
    "write_many": Request(UNIT, Function.WRITE_MANY, 1, 2, (0x000A, 0x0102)),
}
REPLIES = {
    "read_holding": Reply((0x022B, 0, 0x64)),
    "read_input": Reply((10,)),
    "write_one": Reply(),
    "write_many": Reply(),
}
EXCEPTIONS = {
    "refused_read": ("read_holding", ExceptionCode.ILLEGAL_ADDRESS),
    "refused_write": ("write_many", ExceptionCode.BUSY),
}

words = st.integers(0, 0xFFFF)


def golden(name: str, what: str) -> bytes:
    return bytes.fromhex(GOLDEN[name][what])


def expecting(request: Request) -> Replies:
    replies = Replies()
    replies.expect(request)
    return replies


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Request, Reply]:
    """Any request, and an answer to it."""
    unit, address = draw(st.integers(1, 247)), draw(words)
    if draw(st.booleans()):
        values = draw(st.lists(words, min_size=1, max_size=modbus_rtu.READ_MAX))
        function = draw(st.sampled_from(sorted(modbus_rtu.READING)))
        return modbus_rtu.read(unit, function, address, len(values)), Reply(tuple(values))
    written = draw(st.lists(words, min_size=1, max_size=modbus_rtu.WRITE_MAX))
    return modbus_rtu.write(unit, address, written), Reply()


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(marks)]


def test_every_golden_telegram_is_tested() -> None:
    assert set(GOLDEN) == {*REQUESTS, *EXCEPTIONS, "crc_example"}


def test_the_crc_is_the_published_one() -> None:
    frame = golden("crc_example", "frame")
    assert modbus_rtu.crc16(frame[:-2]) == 0x1241
    assert modbus_rtu.crc16(b"123456789") == 0x4B37
    assert modbus_rtu.crc16(frame) == 0


@given(st.binary(max_size=300))
def test_the_crc_bit_by_bit(data: bytes) -> None:
    assert modbus_rtu.crc16(data) == crc16_bitwise(data)


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_and_their_replies(name: str) -> None:
    request, values = REQUESTS[name], REPLIES[name].values
    assert modbus_rtu.encode_request(request) == golden(name, "request")
    assert Requests(UNIT).feed(golden(name, "request")) == [request]
    assert modbus_rtu.encode_reply(request, values) == golden(name, "reply")
    assert expecting(request).feed(golden(name, "reply")) == [REPLIES[name]]


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exception_responses(name: str) -> None:
    asked, code = EXCEPTIONS[name]
    assert modbus_rtu.encode_exception(REQUESTS[asked], code) == golden(name, "refused")
    assert expecting(REQUESTS[asked]).feed(golden(name, "refused")) == [ExceptionResponse(code)]


def test_one_register_is_written_by_function_06() -> None:
    assert modbus_rtu.write(UNIT, 1, (3,)) == REQUESTS["write_one"]
    assert modbus_rtu.write(UNIT, 1, (10, 0x102)) == REQUESTS["write_many"]


@given(exchanges(), st.lists(st.integers(0, 300), max_size=5))
def test_any_exchange_in_any_pieces(exchange: tuple[Request, Reply], cuts: list[int]) -> None:
    request, reply = exchange
    requests, replies = Requests(request.unit), expecting(request)
    asked = modbus_rtu.encode_request(request)
    assert [each for piece in pieces(asked, cuts) for each in requests.feed(piece)] == [request]
    answered = modbus_rtu.encode_reply(request, reply.values)
    assert [each for piece in pieces(answered, cuts) for each in replies.feed(piece)] == [reply]
    assert replies.damaged == 0


@given(exchanges(), st.binary(max_size=20), st.lists(st.integers(0, 300), max_size=5))
def test_garbage_before_an_answer_spoils_nothing(
    exchange: tuple[Request, Reply], garbage: bytes, cuts: list[int]
) -> None:
    request, reply = exchange
    stream = garbage + modbus_rtu.encode_reply(request, reply.values)
    replies = expecting(request)
    assert reply in [each for piece in pieces(stream, cuts) for each in replies.feed(piece)]
    assert replies.damaged <= len(garbage)


@pytest.mark.parametrize("garbage", ["11", "11 03", "11 03 06", "11 03 06 00 00", "11 83", "11 11 11"])
def test_what_begins_like_an_answer_does_not_hide_one(garbage: str) -> None:
    replies = expecting(REQUESTS["read_holding"])
    assert replies.feed(bytes.fromhex(garbage) + golden("read_holding", "reply")) == [REPLIES["read_holding"]]
    assert replies.damaged == len(bytes.fromhex(garbage))
    assert replies.feed(golden("read_holding", "reply")) == [REPLIES["read_holding"]]


@given(exchanges(), st.integers(0, 300), st.integers(1, 255))
def test_one_damaged_byte_never_passes(exchange: tuple[Request, Reply], at: int, flip: int) -> None:
    request, reply = exchange
    for whole, feed in (
        (modbus_rtu.encode_reply(request, reply.values), expecting(request).feed),
        (modbus_rtu.encode_request(request), Requests(request.unit).feed),
    ):
        damaged = bytearray(whole)
        damaged[at % len(damaged)] ^= flip
        assert feed(bytes(damaged)) == []


def test_a_request_is_found_behind_half_of_another() -> None:
    whole = golden("write_many", "request")
    requests = Requests(UNIT)
    assert requests.feed(whole[:9]) == []
    assert requests.feed(whole) == [REQUESTS["write_many"]]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("read_holding", golden("read_input", "reply")),
        ("read_input", golden("read_holding", "reply")),
        ("write_one", golden("write_many", "reply")),
        ("write_many", golden("write_one", "reply")),
        ("write_one", golden("refused_write", "refused")),
        ("write_one", modbus_rtu.encode_reply(REQUESTS["write_one"]._replace(values=(4,)))),
        ("write_many", modbus_rtu.encode_reply(REQUESTS["write_many"]._replace(address=2))),
        ("read_input", modbus_rtu.encode_reply(REQUESTS["read_input"]._replace(unit=0x12), (10,))),
        ("read_input", modbus_rtu.encode_reply(REQUESTS["read_input"], (10, 11))),
        ("read_input", bytes.fromhex("11 84 63") + crc16_bitwise(bytes.fromhex("11 84 63")).to_bytes(2, "little")),
    ],
)
def test_the_answer_to_another_request_is_none(asked: str, answered: bytes) -> None:
    replies = expecting(REQUESTS[asked])
    assert replies.feed(answered + b"\0\0\0\0") == []
    assert replies.feed(golden(asked, "reply")) == [REPLIES[asked]]


@pytest.mark.parametrize(
    "body",
    [
        "12 03 00 6B 00 03",
        "11 05 00 6B 00 03",
        "11 03 00 00 00 7E",
        "11 03 00 00 00 00",
        "11 10 00 01 00 02 03 00 0A 01",
    ],
)
def test_what_is_no_request_to_this_unit_is_not_taken(body: str) -> None:
    data = bytes.fromhex(body)
    assert Requests(UNIT).feed(data + crc16_bitwise(data).to_bytes(2, "little") + b"\0\0") == []


def test_nothing_is_found_when_nothing_is_expected() -> None:
    replies = expecting(REQUESTS["write_one"])
    replies.expect(None)
    assert replies.feed(golden("write_one", "reply")) == []
    assert replies.damaged == 8
