"""Cells against their module, and the temperature correction, against the standard library and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.analysis.resistance import at_reference_temperature, highest_in_module
from tests.reference import resistance as twin


@given(st.lists(st.floats(0.1e-3, 2e-3), min_size=24, max_size=24), st.sampled_from([1, 2, 3, 4]))
def test_agrees_with_the_standard_library(ohm: list[float], modules: int) -> None:
    found = highest_in_module(np.array(ohm), modules)
    cell, module, excess = twin.highest_in_module(ohm, modules)
    assert found.deviation == pytest.approx(excess, abs=1e-9)
    assert (found.module, found.cell) == (module, cell) or found.deviation == pytest.approx(excess, abs=1e-12)


def test_a_cell_is_compared_with_its_own_module() -> None:
    """Module 2 is worse as a whole; the odd one out is in module 1."""
    found = highest_in_module(np.array([1.0, 1.0, 1.2, 1.0, 2.0, 2.0, 2.1, 2.0]), 2)
    assert (found.cell, found.module) == (3, 1)
    assert found.deviation == pytest.approx(20.0)


def test_a_cell_without_value_is_the_answer() -> None:
    found = highest_in_module(np.array([1.0, 5.0, np.nan, 1.0]), 1)
    assert (found.cell, found.module) == (3, 1)
    assert math.isnan(found.deviation)


def test_no_resistance_at_all_is_no_number() -> None:
    assert not math.isfinite(highest_in_module(np.zeros(8), 2).deviation)


def test_resistance_at_25_degrees() -> None:
    """15 °C: exp(3250 (1/298.15 - 1/288.15)) = exp(-0.378294) = 0.685029."""
    assert at_reference_temperature(0.1, 25.0, 3250.0) == 0.1
    assert at_reference_temperature(0.1, 15.0, 3250.0) == pytest.approx(0.0685029, rel=1e-5)
    assert at_reference_temperature(0.1, 35.0, 3250.0) > 0.1
