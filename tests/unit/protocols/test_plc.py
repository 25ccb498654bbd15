"""Telegrams of the safety PLC against bytes written by hand, and against damage."""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.ports import TripCause
from bmsctl.protocols import plc
from bmsctl.protocols.plc import Question, Refusal, Reply, Request, Sense, Status, Voltages
from bmsctl.protocols.station_bus import AliveWatch, Seal
from tests.reference.checksum import long_division

FRAMES = tomllib.loads((Path(__file__).parents[2] / "golden/plc/frames.toml").read_text())

QUESTION = Question(0x2A, 0x12345678, plc.GUARD_CLOSED | plc.ESTOP_RELEASED | plc.HVIL_BRIDGED)
ANSWER = Reply(0x2A, 0x580E80A4)
REQUEST = Request(permit=True, kl30=True, kl15=True, coils=True, hvil=True, token=0x1267, alive=5)
STATUS = Status(
    plc.GUARD_CLOSED | plc.ESTOP_RELEASED | plc.KL30 | plc.KL15 | plc.COIL_SUPPLY | plc.DISCHARGING | plc.HVIL_BRIDGED,
    voltage_free=True,
    cause=TripCause.NONE,
    refusal=Refusal.NONE,
    echo=5,
    alive=9,
)
CHANGED = Status(
    plc.GUARD_CLOSED | plc.ESTOP_RELEASED | plc.TRIPPED,
    voltage_free=False,
    cause=TripCause.WATCHDOG,
    refusal=Refusal.NO_ANSWER,
    echo=3,
    alive=1,
)
VOLTAGES = Voltages(350.1, -0.4, None, -174.9, alive=6)
SENSE = Sense(-2.6, 42, alive=7)


def golden(name: str) -> bytes:
    return bytes.fromhex(FRAMES[name]["bytes"])


@pytest.mark.parametrize("name", FRAMES)
def test_the_golden_frames_carry_the_crc_of_id_and_data(name: str) -> None:
    data = golden(name)
    assert len(data) == 8
    assert long_division(FRAMES[name]["id"].to_bytes(2, "big") + data[:7]) == data[7]


def test_ids_are_those_of_the_golden_frames() -> None:
    ids = {name: frame["id"] for name, frame in FRAMES.items()}
    assert ids == {
        "challenge": plc.CHALLENGE_ID,
        "answer": plc.ANSWER_ID,
        "request": plc.REQUEST_ID,
        "status": plc.STATUS_ID,
        "status_changed": plc.STATUS_CHANGED_ID,
        "voltages": plc.VOLTAGES_ID,
        "sense": plc.SENSE_ID,
    }


def test_encoding_gives_the_golden_bytes() -> None:
    assert plc.encode_challenge(QUESTION) == golden("challenge")
    assert plc.encode_answer(ANSWER) == golden("answer")
    assert plc.encode_request(REQUEST) == golden("request")
    assert plc.encode_status(STATUS) == golden("status")
    assert plc.encode_status(CHANGED, plc.STATUS_CHANGED_ID) == golden("status_changed")
    assert plc.encode_voltages(VOLTAGES) == golden("voltages")
    assert plc.encode_sense(SENSE) == golden("sense")


def test_decoding_the_golden_bytes() -> None:
    assert plc.decode_challenge(golden("challenge")) == QUESTION
    assert plc.decode_answer(golden("answer")) == ANSWER
    assert plc.decode_request(golden("request")) == REQUEST
    assert plc.decode_status(golden("status")) == STATUS
    assert plc.decode_status(golden("status_changed"), plc.STATUS_CHANGED_ID) == CHANGED
    assert plc.decode_voltages(golden("voltages")) == VOLTAGES
    assert plc.decode_sense(golden("sense")) == SENSE


@pytest.mark.parametrize("wish", ["permit", "kl30", "kl15", "coils", "hvil"])
def test_every_wish_has_a_bit_of_its_own(wish: str) -> None:
    only = Request(False, False, False, False, False, 0x1267, 5)._replace(**{wish: True})
    assert plc.decode_request(plc.encode_request(only)) == only


def test_the_response_depends_on_nonce_and_token() -> None:
    assert plc.response(0x12345678, 0x1267) == zlib.crc32(bytes.fromhex("785634126712")) == 0x580E80A4
    assert plc.response(0x12345678, 0x1268) != plc.response(0x12345678, 0x1267) != plc.response(0x12345679, 0x1267)


DECODERS: dict[str, Callable[[bytes], object]] = {
    "challenge": plc.decode_challenge,
    "answer": plc.decode_answer,
    "request": plc.decode_request,
    "status": plc.decode_status,
    "status_changed": lambda data: plc.decode_status(data, plc.STATUS_CHANGED_ID),
    "voltages": plc.decode_voltages,
    "sense": plc.decode_sense,
}


@pytest.mark.parametrize("name", FRAMES)
def test_any_wrong_bit_or_length_is_no_frame(name: str) -> None:
    data = golden(name)
    whole = int.from_bytes(data)
    for bit in range(64):
        assert DECODERS[name]((whole ^ 1 << bit).to_bytes(8)) is None
    for wrong in (b"", data[:7], data + b"\0"):
        assert DECODERS[name](wrong) is None


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_under_another_id_is_no_frame(name: str) -> None:
    others = [decode for other, decode in DECODERS.items() if other != name]
    assert [decode(golden(name)) for decode in others] == [None] * len(others)


@pytest.mark.parametrize("body", ["03 00 60 00 00 00 00", "03 00 00 08 00 00 00"], ids=["cause 6", "refusal 8"])
def test_a_cause_or_refusal_that_does_not_exist_is_no_status(body: str) -> None:
    assert plc.decode_status(Seal(plc.STATUS_ID).close(bytes.fromhex(body))) is None


@given(st.binary(max_size=12))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    for decode in DECODERS.values():
        decode(data)


@pytest.mark.parametrize(
    ("volts", "read"), [(409.5, 409.5), (-409.5, -409.5), (409.56, None), (-409.6, None), (1e6, None), (0.04, 0.0)]
)
def test_a_voltage_out_of_range_is_no_number(volts: float, read: float | None) -> None:
    decoded = plc.decode_voltages(plc.encode_voltages(Voltages(volts, 0.0, 0.0, volts, 0)))
    assert decoded is not None
    assert (decoded.u_pn, decoded.u_n_pe) == (read, read)


@pytest.mark.parametrize(
    ("air_c", "read_c"),
    [(22.04, 22.0), (-40.0, -40.0), (3276.7, 3276.7), (3276.8, None), (-3276.8, None), (None, None)],
)
def test_an_air_temperature_out_of_range_is_no_number(air_c: float | None, read_c: float | None) -> None:
    decoded = plc.decode_sense(plc.encode_sense(Sense(air_c, plc.ADAPTER_SHORTED, 0)))
    assert decoded == Sense(read_c, 255, 0)


def test_an_equal_counter_is_a_repetition_unless_whole_turns_lie_between() -> None:
    watch = AliveWatch(0.02)
    assert watch.moved(3, 1.00)
    assert watch.moved(4, 1.02)
    assert not watch.moved(4, 1.04)
    assert not watch.moved(4, 1.20)
    assert watch.moved(4, 1.52)
    assert watch.moved(9, 1.53)
