"""Telegrams of the HV matrix against bytes written by hand, and against damage."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.ports import Route
from bmsctl.protocols import matrix
from bmsctl.protocols.matrix import Feedback, Refusal, Request
from bmsctl.protocols.station_bus import Seal
from tests.reference.checksum import long_division

FRAMES = tomllib.loads((Path(__file__).parents[2] / "golden/matrix/frames.toml").read_text())

REQUEST = Request({Route.DIGITIZER, Route.LOAD, Route.LINK_CAPACITOR}, alive=3)
FEEDBACK = Feedback({Route.DIGITIZER, Route.LINK_CAPACITOR}, Refusal.NONE, fault=False, moving=False, echo=3, alive=12)
TESTING = Request({Route.WITHSTAND_TESTER, Route.TESTER_PLUS, Route.TESTER_MINUS}, alive=9)
CHANGED = Feedback({Route.DIGITIZER}, Refusal.HOT, fault=True, moving=False, echo=4, alive=2)


def golden(name: str) -> bytes:
    return bytes.fromhex(FRAMES[name]["bytes"])


@pytest.mark.parametrize("name", FRAMES)
def test_the_golden_frames_carry_the_crc_of_id_and_data(name: str) -> None:
    data = golden(name)
    assert len(data) == 8
    assert long_division(FRAMES[name]["id"].to_bytes(2, "big") + data[:7]) == data[7]


def test_ids_are_those_of_the_golden_frames() -> None:
    assert {name: frame["id"] for name, frame in FRAMES.items()} == {
        "request": matrix.REQUEST_ID,
        "request_testing": matrix.REQUEST_ID,
        "feedback": matrix.FEEDBACK_ID,
        "feedback_changed": matrix.FEEDBACK_CHANGED_ID,
    }


def test_encoding_gives_the_golden_bytes() -> None:
    assert matrix.encode_request(REQUEST) == golden("request")
    assert matrix.encode_request(TESTING) == golden("request_testing")
    assert matrix.encode_feedback(FEEDBACK) == golden("feedback")
    assert matrix.encode_feedback(CHANGED, matrix.FEEDBACK_CHANGED_ID) == golden("feedback_changed")


def test_decoding_the_golden_bytes() -> None:
    assert matrix.decode_request(golden("request")) == REQUEST
    assert matrix.decode_request(golden("request_testing")) == TESTING
    assert matrix.decode_feedback(golden("feedback")) == FEEDBACK
    assert matrix.decode_feedback(golden("feedback_changed"), matrix.FEEDBACK_CHANGED_ID) == CHANGED


DECODERS: dict[str, Callable[[bytes], object]] = {
    "request": matrix.decode_request,
    "feedback": matrix.decode_feedback,
    "feedback_changed": lambda data: matrix.decode_feedback(data, matrix.FEEDBACK_CHANGED_ID),
}


@pytest.mark.parametrize("name", DECODERS)
def test_any_wrong_bit_length_or_id_is_no_frame(name: str) -> None:
    data = golden(name)
    for bit in range(64):
        assert DECODERS[name]((int.from_bytes(data) ^ 1 << bit).to_bytes(8)) is None
    for wrong in (b"", data[:7], data + b"\0"):
        assert DECODERS[name](wrong) is None
    assert [decode(data) for other, decode in DECODERS.items() if other != name] == [None, None]


def test_a_refusal_that_does_not_exist_is_no_feedback() -> None:
    assert matrix.decode_feedback(Seal(matrix.FEEDBACK_ID).close(bytes.fromhex("00 06 00 00 00 00 00"))) is None


@given(st.frozensets(st.sampled_from(list(Route))), st.integers(0, 15))
def test_every_set_of_routes_survives(routes: frozenset[Route], alive: int) -> None:
    assert matrix.decode_request(matrix.encode_request(Request(routes, alive))) == Request(routes, alive)


@given(st.binary(max_size=12))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    for decode in DECODERS.values():
        decode(data)


def test_the_digitizer_is_no_energy_route() -> None:
    assert matrix.requested_energy_routes(golden("request")) == {Route.LOAD, Route.LINK_CAPACITOR}
    assert matrix.requested_energy_routes(golden("request_testing")) == TESTING.routes
    only = matrix.encode_request(Request({Route.DIGITIZER}, 1))
    assert matrix.requested_energy_routes(only) == frozenset()
    assert matrix.requested_energy_routes(golden("request")[:7]) == frozenset()
