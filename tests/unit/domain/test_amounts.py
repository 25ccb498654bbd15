"""Values as people write them: exact, and read back the same."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.amounts import amount, amounts, plain
from bmsctl.domain.units import parse_quantity


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.07125, "Ohm", "71.25 mOhm"),
        (180e3, "Ohm", "180 kOhm"),
        (2.46e-6, "F", "2.46 uF"),
        (403.2, "V", "403.2 V"),
        (0.05e-3, "V/h", "50 uV/h"),
        (86400.0, "s", "86400 s"),
        (0.25, "s", "250 ms"),
        (-60.0, "V", "-60 V"),
        (-40.0, "degC", "-40 degC"),
        (98.5, "%", "98.5 %"),
        (0.0, "V", "0 V"),
        (1e-15, "F", "0.001 pF"),
        (25.0, "cm3/min", "25 cm3/min"),
        (20000.0, "Pa", "20 kPa"),
        (3.0, None, "3"),
        (1e16, None, "10000000000000000"),
    ],
)
def test_by_hand(value: float, unit: str | None, text: str) -> None:
    assert amount(value, unit) == text


def test_values_of_one_unit_share_a_prefix_and_others_do_not() -> None:
    assert amounts((0.9, 1.25e3), ("Ohm", "Ohm")) == ["0.0009 kOhm", "1.25 kOhm"]
    assert amounts((0.9, 1.25e3), ("Ohm", "V")) == ["900 mOhm", "1.25 kV"]
    assert amounts((None, 0.5), ("V", "V")) == [None, "500 mV"]


@given(st.floats(-1e12, 1e12), st.sampled_from(["V", "Ohm", "s", "F", "degC", "Nm", "%"]))
def test_no_digit_is_lost(value: float, unit: str) -> None:
    number, _, shown = amount(value, unit).partition(" ")
    if len(number.partition(".")[2]) <= 18:
        assert parse_quantity(f"{number} {shown}", unit) == value


def test_zeros_that_say_something_stay() -> None:
    assert [plain(Decimal(text)) for text in ("1.20", "100", "1E+2", "0.0", "-0.50")] == [
        "1.2",
        "100",
        "100",
        "0",
        "-0.5",
    ]
