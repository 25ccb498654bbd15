"""CRC-8/SAE-J1850 against its published check value, a long division, and the errors it must find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols.checksum import crc8
from tests.reference.checksum import long_division


def test_check_values_of_the_specification() -> None:
    assert crc8(b"123456789") == 0x4B
    assert crc8(bytes(4)) == 0x59
    assert crc8(bytes.fromhex("f20183")) == 0x37
    assert crc8(b"") == 0x00


@given(st.binary(max_size=16))
def test_equals_long_division(data: bytes) -> None:
    assert crc8(data) == long_division(data)


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_continues_where_it_stopped(head: bytes, tail: bytes) -> None:
    assert crc8(tail, crc8(head)) == crc8(head + tail)


@given(st.binary(min_size=1, max_size=8), st.data())
def test_finds_every_single_wrong_bit(data: bytes, choose: st.DataObject) -> None:
    bit = choose.draw(st.integers(0, 8 * len(data) - 1))
    wrong = (int.from_bytes(data) ^ 1 << bit).to_bytes(len(data))
    assert crc8(wrong) != crc8(data)
