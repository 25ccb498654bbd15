"""The PSB dialect: numbers with their unit, and nothing that only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols import psb
from bmsctl.protocols.psb import Questionable


def test_a_measurement_is_voltage_current_and_power() -> None:
    measured = psb.decode_measured("347.12 V, -50.03 A, -17366 W")
    assert measured == (347.12, -50.03, -17366.0, "-50.03 A")


@pytest.mark.parametrize(
    "text",
    [
        "347.12 V, -50.03 A",
        "347.12 V, -50.03 A, 17366 W, 0 W",
        "347.12, -50.03, -17366",
        "347,12 V, -50,03 A, -17366 W",
        "347.12 V, -50.03 kA, -17366 W",
        "347.12 V, -50.03 mA, -17366 W",
        "-50.03 A, 347.12 V, -17366 W",
        "347.12 V, -0.00 A, 0 W",
        "347.12 V, NaN A, 0 W",
        "347.12 V, 9.91E37 A, 0 W",
        "347.12 V, 1.2.3 A, 0 W",
        "347.12 V,  A, 0 W",
        "",
    ],
)
def test_what_is_no_measurement_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|is not voltage|zero with a sign"):
        psb.decode_measured(text)


def test_over_range_is_infinite() -> None:
    assert psb.decode_measured("347.12 V, 9.9E37 A, 0 W").current_a == float("inf")


@given(st.floats(-500.0, 500.0), st.floats(-200.0, 200.0))
def test_what_is_encoded_is_decoded(volts: float, amps: float) -> None:
    measured = psb.decode_measured(psb.encode_measured(volts, amps))
    assert measured.voltage_v == pytest.approx(volts, abs=0.00501)
    assert measured.current_a == pytest.approx(amps, abs=0.00501)


@pytest.mark.parametrize(
    ("text", "status", "alarm"),
    [
        ("0", Questionable(0), ""),
        ("3072", Questionable.REMOTE | Questionable.OUTPUT_ON, ""),
        ("1025", Questionable.REMOTE | Questionable.OVP, "overvoltage"),
        ("544", Questionable.UVD | Questionable.REM_SB, "undervoltage and the enable is missing"),
    ],
)
def test_a_status_names_its_alarms(text: str, status: Questionable, alarm: str) -> None:
    assert psb.decode_status(text) == status
    assert psb.alarm_text(status) == alarm


@pytest.mark.parametrize("text", ["", "-1", "65536", "1.0", "0x10", "٣"])
def test_what_is_no_status_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="status register"):
        psb.decode_status(text)
