"""Leak rates of decays that are known, and of what is none; the twin lets the air out step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.leak import LeakRate, leak_rate
from bmsctl.domain.ports import PressureDecay
from tests.reference.leak import leak_of_thirds, leaking

COOLANT_CM3, COOLANT_PA, COOLANT_S = 4500.0, 2e5, 50.0
HOUSING_CM3, HOUSING_PA, HOUSING_S = 50_000.0, 2e3, 80.0
SETTLE_S, EVERY_S = 20.0, 0.5
PER_MINUTE = 1e-6 / 60.0

CASES = {
    "coolant": (COOLANT_CM3, COOLANT_PA, COOLANT_S, 0.5),
    "coolant at its limit": (COOLANT_CM3, COOLANT_PA, COOLANT_S, 4.0),
    "coolant, a hundred": (COOLANT_CM3, COOLANT_PA, COOLANT_S, 100.0),
    "housing": (HOUSING_CM3, HOUSING_PA, HOUSING_S, 6.0),
    "housing at its limit": (HOUSING_CM3, HOUSING_PA, HOUSING_S, 40.0),
    "housing, far beyond": (HOUSING_CM3, HOUSING_PA, HOUSING_S, 250.0),
    "housing under vacuum": (HOUSING_CM3, -HOUSING_PA, HOUSING_S, 40.0),
    "tight": (HOUSING_CM3, HOUSING_PA, HOUSING_S, 0.0),
}


def recorded(
    volume_cm3: float, test_pa: float, length_s: float, rate: float, warmer_k: float = 0.0, weather_pa: float = 0.0
) -> PressureDecay:
    return PressureDecay(
        *leaking(volume_cm3 * 1e-6, rate * PER_MINUTE, test_pa, length_s, EVERY_S, warmer_k, weather_pa)
    )


def analysed(decay: PressureDecay, volume_cm3: float, test_pa: float, settle_s: float = SETTLE_S) -> LeakRate:
    return leak_rate(decay, volume_cm3, settle_s, test_pa, 0.2 * abs(test_pa))


def housing(rate: float = 6.0) -> PressureDecay:
    return recorded(HOUSING_CM3, HOUSING_PA, HOUSING_S, rate)


def undecided(decay: PressureDecay) -> str:
    found = analysed(decay, HOUSING_CM3, HOUSING_PA)
    assert np.isnan(found.cm3_per_min)
    return found.undecided


@pytest.mark.parametrize("name", CASES)
def test_a_known_leak_and_the_twin(name: str) -> None:
    volume_cm3, test_pa, length_s, rate = CASES[name]
    decay = recorded(volume_cm3, test_pa, length_s, rate)
    found = analysed(decay, volume_cm3, test_pa)
    assert not found.undecided
    assert not found.at_least
    assert found.cm3_per_min == pytest.approx(rate, rel=2e-3, abs=1e-6)
    assert found.residual_pa < 0.1
    course = (decay.time_s, decay.pressure_pa, decay.temperature_c, decay.atmosphere_pa)
    twin = leak_of_thirds(course, volume_cm3 * 1e-6, SETTLE_S, test_pa) / PER_MINUTE
    assert found.cm3_per_min == pytest.approx(twin, rel=0.01, abs=1e-6)


@pytest.mark.parametrize("test_pa", [HOUSING_PA, -HOUSING_PA])
def test_temperature_and_atmosphere_fall_out(test_pa: float) -> None:
    decay = recorded(HOUSING_CM3, test_pa, HOUSING_S, 6.0, warmer_k=0.5, weather_pa=5.0 / 60.0)
    assert analysed(decay, HOUSING_CM3, test_pa).cm3_per_min == pytest.approx(6.0, rel=5e-3)
    blind = replace(decay, temperature_c=np.full_like(decay.time_s, 23.0))
    assert abs(analysed(blind, HOUSING_CM3, test_pa).cm3_per_min - 6.0) > 0.5
    deaf = replace(decay, atmosphere_pa=np.full_like(decay.time_s, 100e3))
    assert abs(analysed(deaf, HOUSING_CM3, test_pa).cm3_per_min - 6.0) > 0.5


def test_the_rate_is_the_volumes_and_the_samples_before_settling_do_not_count() -> None:
    decay = housing()
    early = replace(decay, pressure_pa=np.where(decay.time_s < SETTLE_S, HOUSING_PA, decay.pressure_pa))
    assert analysed(early, HOUSING_CM3, HOUSING_PA).cm3_per_min == pytest.approx(6.0, rel=0.01)
    assert analysed(decay, 2 * HOUSING_CM3, HOUSING_PA).cm3_per_min == pytest.approx(12.0, rel=0.01)


@pytest.mark.parametrize("rate", [1e3, 5e3, 50e3])
def test_a_leak_too_large_to_be_told_is_bounded(rate: float) -> None:
    found = analysed(housing(rate), HOUSING_CM3, HOUSING_PA)
    assert found.at_least
    assert 0.4 * rate < found.cm3_per_min <= rate
    assert np.isnan(found.residual_pa)


def test_a_volume_that_was_not_filled_whole_is_bounded_by_what_it_loses() -> None:
    decay = recorded(HOUSING_CM3, HOUSING_PA, HOUSING_S, 40.0)
    half = recorded(HOUSING_CM3, 0.5 * HOUSING_PA, HOUSING_S, 20.0)
    found = analysed(half, HOUSING_CM3, HOUSING_PA)
    assert found.at_least
    assert 0.0 < found.cm3_per_min < analysed(decay, HOUSING_CM3, HOUSING_PA).cm3_per_min


def test_noise_is_averaged_and_shown() -> None:
    decay = housing()
    noise_pa = np.random.default_rng(1).normal(0.0, 0.3, len(decay.time_s))
    found = analysed(replace(decay, pressure_pa=decay.pressure_pa + noise_pa), HOUSING_CM3, HOUSING_PA)
    assert found.cm3_per_min == pytest.approx(6.0, abs=0.3)
    assert found.residual_pa == pytest.approx(0.3, rel=0.2)


@pytest.mark.parametrize("field", ["time_s", "pressure_pa", "temperature_c", "atmosphere_pa"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_undecided(field: str, value: float) -> None:
    decay = housing()
    spoilt = getattr(decay, field).copy()
    spoilt[3] = value
    assert "no numbers" in undecided(replace(decay, **{field: spoilt}))


def test_too_few_samples_stay_undecided() -> None:
    decay = housing()
    short = PressureDecay(
        *(values[:59] for values in (decay.time_s, decay.pressure_pa, decay.temperature_c, decay.atmosphere_pa))
    )
    assert undecided(short) == "19 samples after settling are too few"
    assert "0 samples" in undecided(PressureDecay(*(np.empty(0),) * 4))


def test_too_much_pressure_stays_undecided() -> None:
    assert "beyond the test pressure" in undecided(recorded(HOUSING_CM3, 1.3 * HOUSING_PA, HOUSING_S, 6.0))


@pytest.mark.parametrize("push_pa", [20.0, -20.0])
def test_a_push_at_the_housing_stays_undecided(push_pa: float) -> None:
    decay = housing()
    pushed = decay.pressure_pa.copy()
    pushed[100:103] += push_pa
    assert "something moves it" in undecided(replace(decay, pressure_pa=pushed))


@pytest.mark.parametrize("left_pa", [0.0, -5.0, 9.0])
def test_a_volume_without_pressure_stays_undecided(left_pa: float) -> None:
    decay = housing()
    assert undecided(replace(decay, pressure_pa=np.full_like(decay.time_s, left_pa))) == "the volume was never filled"


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 60.0), st.floats(-1.0, 1.0), st.floats(-0.1, 0.1), st.booleans())
def test_any_leak_under_any_weather(rate: float, warmer_k: float, weather_pa: float, vacuum: bool) -> None:
    test_pa = -HOUSING_PA if vacuum else HOUSING_PA
    time_s = EVERY_S * np.arange(161, dtype=np.float64)
    kelvin = 296.15 + warmer_k * np.exp(-time_s / 5.0)
    outside_pa = 100e3 + weather_pa * time_s
    per_s = rate * PER_MINUTE * 101_325.0 / (HOUSING_CM3 * 1e-6) / HOUSING_PA
    left_pa = test_pa * np.exp(-per_s * time_s)
    gauge_pa = (100e3 + left_pa) * kelvin / 296.15 - outside_pa
    decay = PressureDecay(time_s, gauge_pa, kelvin - 273.15, outside_pa)
    assert analysed(decay, HOUSING_CM3, test_pa).cm3_per_min == pytest.approx(rate, rel=0.02, abs=0.05)
