"""The two-voltmeter insulation analysis: against its twin, a case by hand, and everything that must stay undecided."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.insulation import Insulation, Poles, two_meter_insulation
from tests.reference.insulation import recorded, settled_insulation

RATE_HZ = 10_000.0
VOLTS = 350.0
TEST_OHM, METER_OHM = 180e3, 10e6
LENGTHS_S = [2.0, 5.0, 5.0]

Parts = list[Poles]


def parts(
    plus_ohm: float,
    minus_ohm: float,
    farad: float,
    noise_v: float = 0.0,
    start: float = 0.3,
    order: tuple[int, ...] = (0, 1, 2),
) -> Parts:
    """A recording of a pack with this insulation. `order`: the resistor not in (0), at minus (1), at plus (2)."""
    plus_s, minus_s, test_s = 1 / plus_ohm + 1 / METER_OHM, 1 / minus_ohm + 1 / METER_OHM, 1 / TEST_OHM
    states = [(plus_s, minus_s), (plus_s, minus_s + test_s), (plus_s + test_s, minus_s)]
    noise = np.random.default_rng(7)
    return [
        Poles(*(volts + noise_v * noise.standard_normal(len(volts)) for volts in pair))
        for pair in recorded(VOLTS, [states[place] for place in order], farad, LENGTHS_S, RATE_HZ, start)
    ]


def analysed(recording: Parts) -> Insulation:
    free, at_minus, at_plus = recording
    return two_meter_insulation(free, at_minus, at_plus, RATE_HZ, TEST_OHM, METER_OHM)


@settings(max_examples=60, deadline=None)
@given(
    plus_ohm=st.floats(4.5, 7.7).map(lambda exponent: 10**exponent),
    minus_ohm=st.floats(4.5, 7.7).map(lambda exponent: 10**exponent),
    farad=st.floats(0.2e-6, 5e-6),
    start=st.floats(0.0, 1.0),
)
def test_a_clean_recording_gives_what_is_in_it(plus_ohm: float, minus_ohm: float, farad: float, start: float) -> None:
    found = analysed(parts(plus_ohm, minus_ohm, farad, start=start))
    assert found.undecided == ""
    assert found.plus_s == pytest.approx(1 / plus_ohm, rel=1e-4, abs=1e-13)
    assert found.minus_s == pytest.approx(1 / minus_ohm, rel=1e-4, abs=1e-13)
    if found.y_resolved:
        assert found.y_farad == pytest.approx(farad, rel=1e-3)
    else:
        assert found.y_farad >= farad


@pytest.mark.parametrize(("plus_ohm", "minus_ohm"), [(20e6, 20e6), (12e6, 35e6), (403e3, 20e6), (20e6, 201.6e3)])
@pytest.mark.parametrize("farad", [0.33e-6, 2.46e-6])
def test_noise_of_the_front_end_costs_a_tenth_of_what_is_stated(
    plus_ohm: float, minus_ohm: float, farad: float
) -> None:
    found = analysed(parts(plus_ohm, minus_ohm, farad, noise_v=0.05))
    for siemens, ohm in ((found.plus_s, plus_ohm), (found.minus_s, minus_ohm)):
        assert 1 / siemens == pytest.approx(ohm, rel=0.1 * (0.003 + 0.0085 * ohm / METER_OHM))
    assert found.y_farad == pytest.approx(farad, rel=5e-3)


def test_agrees_with_what_has_settled() -> None:
    recording = parts(15e6, 3e6, 0.5e-6, noise_v=0.02)
    plus_s, minus_s, farad = settled_insulation(recording[1], recording[2], RATE_HZ, TEST_OHM, METER_OHM)
    found = analysed(recording)
    assert found.plus_s == pytest.approx(plus_s, rel=1e-3)
    assert found.minus_s == pytest.approx(minus_s, rel=1e-3)
    assert found.y_farad == pytest.approx(farad, rel=5e-3)


def test_by_hand() -> None:
    """240 V / -120 V with 100 kOhm at minus, 120 V / -240 V at plus: 100 kOhm at either side, of which meters 10 µS."""

    def constant(plus_v: float, minus_v: float) -> Poles:
        return Poles(np.full(10_000, plus_v), np.full(10_000, minus_v))

    free, at_minus, at_plus = constant(180.0, -180.0), constant(240.0, -120.0), constant(120.0, -240.0)
    found = two_meter_insulation(free, at_minus, at_plus, RATE_HZ, test_ohm=100e3, meter_ohm=1e6)
    assert found.plus_s == pytest.approx(9e-6)
    assert found.minus_s == pytest.approx(9e-6)
    assert not found.y_resolved


def test_a_transient_too_fast_to_time_bounds_the_capacitance() -> None:
    """With 10 kOhm at one side all is over in 3 ms."""
    found = analysed(parts(20e6, 10e3, 0.33e-6, noise_v=0.05))
    assert 1 / found.minus_s == pytest.approx(10e3, rel=0.01)
    assert not found.y_resolved
    assert 0.33e-6 < found.y_farad < 2e-6


def test_no_insulation_to_tell_of_is_near_zero() -> None:
    found = analysed(parts(1e12, 1e12, 0.33e-6, noise_v=0.05))
    assert abs(found.plus_s) < 1e-10
    assert abs(found.minus_s) < 1e-10


def _moved(part: Poles, volts: float) -> Poles:
    step_v = np.where(np.arange(len(part.plus_v)) > len(part.plus_v) // 2, volts, 0.0)
    return Poles(part.plus_v + step_v, part.minus_v + step_v)


SPOILT: dict[str, tuple[Callable[[Parts], Parts], str]] = {
    "no number": (lambda p: [p[0], Poles(p[1].plus_v, np.full_like(p[1].minus_v, np.nan)), p[2]], "no numbers"),
    "short": (lambda p: [p[0], Poles(p[1].plus_v[:3000], p[1].minus_v[:3000]), p[2]], "too short"),
    "dead input": (lambda p: [Poles(part.plus_v, 0.0 * part.minus_v) for part in p], "both sides"),
    "turned round": (lambda p: [Poles(part.minus_v, part.plus_v) for part in p], "both sides"),
    "moved in the middle": (lambda p: [p[0], p[1], _moved(p[2], 1.0)], "something moves"),
    "stuck input": (lambda p: [p[0], Poles(p[1].plus_v, p[2].minus_v), p[2]], ""),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_no_such_recording_stays_undecided(what: str) -> None:
    spoil, why = SPOILT[what]
    found = analysed(spoil(parts(20e6, 9e6, 0.33e-6, noise_v=0.05)))
    assert found.undecided
    assert why in found.undecided
    assert np.isnan(found.plus_s)


@pytest.mark.parametrize("order", [(0, 0, 0), (0, 1, 0), (0, 0, 2), (0, 1, 1), (0, 2, 2), (0, 2, 1), (1, 1, 2)])
@pytest.mark.parametrize("farad", [0.2e-6, 2e-6])
def test_a_resistor_that_is_not_where_it_should_be_leaves_it_undecided(order: tuple[int, ...], farad: float) -> None:
    assert analysed(parts(20e6, 9e6, farad, noise_v=0.05, order=order)).undecided


def test_poles_without_resistor_must_agree() -> None:
    free, at_minus, at_plus = (
        Poles(np.full(10_000, plus_v), np.full(10_000, plus_v - 360.0)) for plus_v in (240.0, 240.0, 120.0)
    )
    assert "do not agree" in two_meter_insulation(free, at_minus, at_plus, RATE_HZ, 100e3, 1e6).undecided


def test_what_has_not_settled_stays_undecided() -> None:
    assert "not settled" in analysed(parts(20e6, 20e6, 20e-6, noise_v=0.05)).undecided


def test_hum_of_the_mains_falls_out() -> None:
    recording = parts(20e6, 9e6, 0.5e-6)
    hum = [1.0 * np.sin(2 * np.pi * 50.0 * np.arange(len(part.plus_v)) / RATE_HZ) for part in recording]
    loud = [Poles(part.plus_v + h, part.minus_v + h) for part, h in zip(recording, hum, strict=True)]
    assert analysed(loud).plus_s == pytest.approx(1 / 20e6, rel=1e-3)
