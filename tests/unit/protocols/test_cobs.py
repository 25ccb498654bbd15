"""Byte stuffing against the examples of its authors' description, and any bytes there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols import cobs

UP_TO_FE = bytes(range(0x01, 0xFF))
FROM_02 = bytes(range(0x02, 0x100))

EXAMPLES = {
    "empty": (b"", b"\x01"),
    "one zero": (b"\x00", b"\x01\x01"),
    "two zeros": (b"\x00\x00", b"\x01\x01\x01"),
    "zero, byte, zero": (b"\x00\x11\x00", b"\x01\x02\x11\x01"),
    "a run, a zero, a byte": (b"\x11\x22\x00\x33", b"\x03\x11\x22\x02\x33"),
    "no zero": (b"\x11\x22\x33\x44", b"\x05\x11\x22\x33\x44"),
    "zeros at the end": (b"\x11\x00\x00\x00", b"\x02\x11\x01\x01\x01"),
    "254 bytes without zero": (UP_TO_FE, b"\xff" + UP_TO_FE),
    "a zero before 254 bytes": (b"\x00" + UP_TO_FE, b"\x01\xff" + UP_TO_FE),
    "255 bytes without zero": (UP_TO_FE + b"\xff", b"\xff" + UP_TO_FE + b"\x02\xff"),
    "254 bytes and a zero": (FROM_02 + b"\x00", b"\xff" + FROM_02 + b"\x01\x01"),
    "253 bytes, a zero, a byte": (FROM_02[1:] + b"\x00\x01", b"\xfe" + FROM_02[1:] + b"\x02\x01"),
}


@pytest.mark.parametrize(("data", "stuffed"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples(data: bytes, stuffed: bytes) -> None:
    assert cobs.encode(data) == stuffed
    assert cobs.decode(stuffed) == data


RUNS = st.lists(st.sampled_from([b"\0", b"\1", b"\2" * 253, b"\3" * 254, b"\4" * 255]), max_size=8).map(b"".join)


@given(st.binary(max_size=600) | RUNS)
def test_any_bytes_come_back_and_none_is_zero(data: bytes) -> None:
    stuffed = cobs.encode(data)
    assert 0 not in stuffed
    assert len(data) < len(stuffed) <= len(data) + 1 + len(data) // 254
    assert cobs.decode(stuffed) == data


@pytest.mark.parametrize("wrong", [b"", b"\x00", b"\x02", b"\x05\x11\x22", b"\x02\x11\x00", b"\xff" + b"\x01" * 253])
def test_what_is_no_outcome_of_stuffing_is_refused(wrong: bytes) -> None:
    assert cobs.decode(wrong) is None


@given(st.binary(max_size=600))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    cobs.decode(data)
