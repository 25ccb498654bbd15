"""Values are shown with the prefix an engineer would choose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.quantities import quantity
from bmsctl.domain.units import parse_quantity


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (10_118_000.0, "Ohm", "10.12 MOhm"),
        (0.00322266, "V", "3.223 mV"),
        (-60.0, "V", "-60 V"),
        (0.0, "V", "0 V"),
        (999.99, "V", "1 kV"),
        (99.9105, "%", "99.91 %"),
        (3.0, None, "3"),
        (0.0005, "F", "500 uF"),
        (2e-14, "A", "0.02 pA"),
        (7_776_000.0, "s", "90 d"),
        (3600.0, "s", "3.6 ks"),
    ],
)
def test_the_prefix_suits_the_value(value: float, unit: str | None, shown: str) -> None:
    assert quantity(value, unit) == shown


@given(st.floats(1e-11, 1e11) | st.floats(-1e11, -1e-11), st.sampled_from(["V", "Ohm", "s", "A", "F"]))
def test_what_is_shown_reads_back_to_four_digits(value: float, unit: str) -> None:
    assert parse_quantity(quantity(value, unit), unit) == pytest.approx(value, rel=5.1e-4)
