"""Quantities: exact values by hand, and properties over all units and prefixes."""

from __future__ import annotations

import contextlib
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.units import PLAIN, PREFIXED, PREFIXES, READ_AS, parse_quantity, parse_unit


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("25 mV", "V", 0.025),
        ("0.3 mV", "V", 0.0003),
        ("-60 V", "V", -60.0),
        ("180 kOhm", "Ohm", 180e3),
        ("100 MOhm", "Ohm", 100e6),
        ("0.33 uF", "F", 0.33e-6),
        ("470 nF", "F", 470e-9),
        ("22 pF", "F", 22e-12),
        ("2 GOhm", "Ohm", 2e9),
        ("500 Ohm/V", "Ohm/V", 500.0),
        ("0.5 kOhm/V", "Ohm/V", 500.0),
        ("0.05 mV/h", "V/h", 5e-5),
        ("3600 mV/h", "V/s", 1e-3),
        ("16 d", "s", 1_382_400.0),
        ("2 h", "s", 7200.0),
        ("1.5 min", "s", 90.0),
        ("200 ms", "s", 0.2),
        ("1.5 bar", "Pa", 150_000.0),
        ("20 mbar", "Pa", 2000.0),
        ("4 cm3/min", "cm3/min", 4.0),
        ("98 %", "%", 98.0),
        ("-40 degC", "degC", -40.0),
        ("5 K", "K", 5.0),
        ("3.65 %/K", "%/K", 3.65),
        ("157 Ah", "Ah", 157.0),
        ("500 mAh", "Ah", 0.5),
        ("10 Nm", "Nm", 10.0),
        ("90 deg", "deg", 90.0),
        ("10 kHz", "Hz", 10e3),
        ("0.2 J", "J", 0.2),
        ("1e3 mA", "A", 1.0),
    ],
)
def test_known_quantities(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == value


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("5 µF", "5 uF"),
        ("5 μF", "5 uF"),
        ("3 kΩ", "3 kOhm"),
        ("3 k\N{OHM SIGN}", "3 kOhm"),
        ("20 °C", "20 degC"),
        ("30 °", "30 deg"),
        ("7 µΩ", "7 uOhm"),
        ("500 Ω/V", "500 Ohm/V"),
    ],
)
def test_signs_are_read(text: str, same: str) -> None:
    dimension = parse_unit(same.split()[1]).dimension
    unit = dimension[0] if dimension[1] is None else "/".join(map(str, dimension))
    assert parse_quantity(text, unit) == parse_quantity(same, unit)


def test_signs_are_not_units_themselves() -> None:
    assert not set(READ_AS) & {*PREFIXED, *PLAIN, *PREFIXES}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "25",
        "mV",
        "25mV",
        "25 mv",
        "25 VV",
        "25 V V",
        "1,5 V",
        "0x10 V",
        "1_000 V",
        "² V",
        "٣ V",
        "25 mmV",
        "25 kmin",
        "25 mdegC",
        "25 m%",
        "25 V/",
        "25 /V",
        "25 V/A/s",
        "1e999 V",
        "1e1000000000 V",
        "9" * 40 + " V",
        "1. V",
        ".5 V",
        "nan V",
        "NaN V",
        "inf V",
        "-inf V",
        "Infinity V",
        "25\nV",
        "25 V\x00",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|finite|unknown unit"):
        parse_quantity(text, "V")


@pytest.mark.parametrize(
    ("text", "unit"),
    [("1 V", "A"), ("1 V/h", "V"), ("1 V", "V/h"), ("1 K", "degC"), ("1 degC", "K"), ("1 Ohm/V", "Ohm"), ("1 %", "K")],
)
def test_what_measures_something_else_is_refused(text: str, unit: str) -> None:
    with pytest.raises(ValueError, match=rf"not in {unit}; give it in {unit}"):
        parse_quantity(text, unit)


FACTORS = {"": 0, "p": -12, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9}
numbers = st.decimals(min_value=-(10**9), max_value=10**9, places=6, allow_nan=False)


@given(numbers, st.sampled_from(sorted(FACTORS)), st.sampled_from(sorted(set(PREFIXED) - {"bar"})))
def test_a_prefix_moves_the_point_and_rounds_once(number: Decimal, prefix: str, unit: str) -> None:
    assert parse_quantity(f"{number:f} {prefix}{unit}", unit) == float(number.scaleb(FACTORS[prefix]))


@given(numbers, st.sampled_from([*PREFIXED, *PLAIN]), st.sampled_from(sorted(set(PREFIXED) - {"bar"})))
def test_a_ratio_has_the_value_of_its_parts(number: Decimal, above: str, below: str) -> None:
    ratio = f"{above}/{below}"
    if above != "cm3/min":
        assert parse_quantity(f"{number:f} {ratio}", ratio) == float(number)


@given(st.text(max_size=30), st.sampled_from([*PREFIXED, *PLAIN]))
def test_any_text_is_a_number_or_a_value_error(text: str, unit: str) -> None:
    with contextlib.suppress(ValueError):
        assert math.isfinite(parse_quantity(text, unit))


def test_no_prefixed_unit_reads_as_another_unit() -> None:
    written = [prefix + unit for prefix in FACTORS for unit in PREFIXED]
    assert len(set(written)) == len(written)
    assert not set(written) & set(PLAIN)
