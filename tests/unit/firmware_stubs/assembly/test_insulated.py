"""A resistor and a capacitor under the insulation tester, against an independent model of the same."""

from __future__ import annotations

import math

import pytest

from firmware_stubs.assembly.insulated import InsulatedParts
from firmware_stubs.plant import Node
from tests.support.insulated_object import InsulatedObject


def test_voltage_and_current_follow_the_closed_form() -> None:
    parts, twin = InsulatedParts(lambda: None), InsulatedObject(2e9, 50e-9 + 50e-12)
    parts.connect(0.0, 2e9, 50e-9)
    for t_s, volts, ohm in ((0.5, 500.0, 100e3), (1.5, 0.0, 10e3), (1.6, 0.0, 1e6)):
        parts.tester_source(t_s, volts, ohm)
        twin.tester_source(t_s, volts, ohm)
        for later_s in (0.0, 0.002, 0.05):
            now_s = t_s + later_s
            seen_v = parts.voltage(now_s, Node.TESTER, Node.PE)
            assert seen_v == pytest.approx(twin.voltage(now_s, Node.TESTER, Node.PE), abs=1e-9)
            assert parts.tester_current_a(now_s) == pytest.approx(twin.tester_current_a(now_s), rel=1e-6, abs=1e-15)


def test_a_lead_that_touches_nothing_has_next_to_no_capacitance() -> None:
    parts = InsulatedParts(lambda: None)
    parts.tester_source(1.0, 500.0, 100e3)
    assert parts.voltage(1.001, Node.TESTER, Node.PE) == pytest.approx(500.0, rel=1e-6)
    assert parts.tester_current_a(1.001) < 1e-10


def test_what_is_connected_anew_is_uncharged_and_what_is_driven_stays_driven() -> None:
    parts = InsulatedParts(lambda: None)
    parts.connect(0.0, 1e9, 50e-9)
    parts.tester_source(1.0, 500.0, 100e3)
    parts.disconnect(2.0)
    parts.connect(3.0, 1e9, 50e-9)
    assert parts.voltage(3.0, Node.TESTER, Node.PE) == 0.0
    assert parts.voltage(3.1, Node.TESTER, Node.PE) == pytest.approx(500.0, rel=1e-3)


def test_stress_is_the_greater_of_what_is_driven_and_what_is_left() -> None:
    told: list[str] = []
    parts = InsulatedParts(lambda: told.append("source"))
    parts.connect(0.0, 1e9, 50e-9)
    parts.tester_source(1.0, 500.0, 100e3)
    assert parts.stress_v(1.0) == 500.0
    parts.tester_source(2.0, 0.0, 1e6)
    assert told == ["source", "source"]
    assert parts.stress_v(2.05) == pytest.approx(500.0 * math.exp(-0.05 / 0.05005), rel=2e-3)


def test_it_has_no_other_nodes() -> None:
    with pytest.raises(ValueError, match="P against N"):
        InsulatedParts(lambda: None).voltage(0.0, Node.P, Node.N)


def test_only_the_newest_pieces_are_kept() -> None:
    parts = InsulatedParts(lambda: None)
    parts.connect(0.0, 1e9, 50e-9)
    for number in range(1, 1001):
        parts.tester_source(float(number), float(number), 100e3)
    assert parts.voltage(1000.5, Node.TESTER, Node.PE) == pytest.approx(1000.0, rel=1e-3)
    assert parts.voltage(990.5, Node.TESTER, Node.PE) == pytest.approx(990.0, rel=1e-3)
