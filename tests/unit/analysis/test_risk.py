"""Risks of a wrong verdict against the bivariate normal distribution, and the guard band that bounds them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.risk import Model, RiskError, guard_band, risks
from tests.reference.risk import rectangles

INF = math.inf


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-3.0, 3.0),
    st.floats(0.05, 2.0),
    st.sampled_from([(-2.0, 2.5), (-INF, 2.0), (-1.0, INF)]),
    st.floats(-0.5, 0.9),
)
def test_agrees_with_rectangles(mean: float, uncertainty: float, limits: tuple[float, float], guard: float) -> None:
    found = risks(Model(mean, 1.0, uncertainty, *limits), guard)
    twin = rectangles(mean, 1.0, uncertainty, limits, (limits[0] + guard, limits[1] - guard))
    assert found == pytest.approx(twin, abs=1e-9)


def test_agrees_with_drawing_lots() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(10.0, 0.5, 1_000_000)
    told = true + rng.normal(0.0, 0.2, true.size)
    good, accepted = np.abs(true - 10.0) <= 1.0, np.abs(told - 10.0) <= 0.9
    found = risks(Model(10.0, 0.5, 0.2, 9.0, 11.0), 0.1)
    assert found.false_accept == pytest.approx(np.mean(~good & accepted), rel=0.03)
    assert found.false_reject == pytest.approx(np.mean(good & ~accepted), rel=0.03)


def test_the_unit_does_not_matter() -> None:
    volts, millivolts = Model(0.1, 1.0, 0.2, -2.0, 2.5), Model(100.0, 1000.0, 200.0, -2000.0, 2500.0)
    assert risks(volts, 0.1) == pytest.approx(risks(millivolts, 100.0), rel=1e-12)


def test_a_small_uncertainty_leaves_little_risk_and_a_wide_guard_rejects_all() -> None:
    model = Model(0.0, 1.0, 1e-4, -2.0, 2.0)
    assert max(risks(model)) < 1e-4
    nothing = risks(model, 2.0)
    assert nothing.false_accept == 0.0
    assert nothing.false_reject == pytest.approx(math.erf(math.sqrt(2.0)), rel=1e-12)


@pytest.mark.parametrize("limits", [(-2.0, 2.5), (-INF, 2.0), (-1.0, INF)])
@pytest.mark.parametrize("wanted", [1e-3, 1e-6, 1e-9])
def test_a_guard_band_holds_the_risk_that_was_wanted(limits: tuple[float, float], wanted: float) -> None:
    model = Model(0.0, 1.0, 0.3, *limits)
    guard = guard_band(model, wanted)
    assert guard > 0.0
    assert risks(model, guard).false_accept == pytest.approx(wanted, rel=1e-6)
    assert risks(model, guard * 0.99).false_accept > wanted


def test_no_guard_band_where_none_is_needed() -> None:
    assert guard_band(Model(0.0, 1.0, 0.1, -8.0, 8.0), 1e-6) == 0.0


@pytest.mark.parametrize(
    "model",
    [
        Model(0.0, 0.0, 0.1, -1.0, 1.0),
        Model(0.0, 1.0, math.nan, -1.0, 1.0),
        Model(math.nan, 1.0, 0.1, -1.0, 1.0),
        Model(0.0, 1.0, INF, -1.0, 1.0),
        Model(0.0, 1.0, 0.1),
        Model(0.0, 1.0, 0.1, 1.0, 1.0),
        Model(0.0, 1.0, 0.1, math.nan, 1.0),
    ],
)
def test_what_has_no_risk(model: Model) -> None:
    with pytest.raises(RiskError):
        risks(model)
    with pytest.raises(RiskError):
        guard_band(model, 1e-3)


@pytest.mark.parametrize("wanted", [0.0, 1.0, math.nan])
def test_a_risk_that_cannot_be_had(wanted: float) -> None:
    with pytest.raises(RiskError, match="give a share"):
        guard_band(Model(0.0, 1.0, 0.1, -1.0, 1.0), wanted)
