"""Canonical JSON, against bytes written by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.canonical import canonical_json, read_json, sha256_hex

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


def test_keys_are_sorted_and_nothing_is_padded() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": {"y": True, "x": "é\n"}}) == (
        '{"a":{"x":"é\\n","y":true},"b":[1,2.5,null]}'
    )


@pytest.mark.parametrize(("value", "text"), [(0.1, "0.1"), (1e22, "1e+22"), (5e-324, "5e-324"), (350.0, "350.0")])
def test_floats_take_their_shortest_form(value: float, text: str) -> None:
    assert canonical_json(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json([value])


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "{", b"\xff", "[" * 100_000])
def test_reading_refuses_what_is_not_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_json(text)


def test_an_undecodable_byte_of_a_label_survives() -> None:
    label = b"AS52\xe9".decode("utf-8", "surrogateescape")
    text = canonical_json(label)
    assert text == '"AS52\\udce9"'
    assert read_json(text.encode()) == label


@given(JSON)
def test_every_value_comes_back_and_is_spelled_the_same_again(value: object) -> None:
    text = canonical_json(value)
    assert read_json(text.encode()) == value
    assert canonical_json(read_json(text)) == text


def test_sha256_of_the_standard() -> None:
    # FIPS 180-4, example "abc".
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
