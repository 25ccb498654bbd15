"""The analysis of variance of a study: the printed example digit by digit, and its twin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bmsctl.analysis.grr.anova import anova, anova_table
from bmsctl.analysis.grr.study import Study
from tests.reference.grr import squares, study
from tests.support.strd.aiag import example


def study_of(values: object) -> Study:
    array = np.array(values, np.float64)
    return Study([f"p{i}" for i in range(array.shape[0])], [f"a{i}" for i in range(array.shape[1])], array)


def test_every_printed_digit_of_the_examples_table() -> None:
    table = anova_table(example())
    printed = {"appraisers": (3.1673, 1.58363), "parts": (88.3619, 9.81799), "interaction": (0.3590, 0.01994)}
    printed["equipment"] = (2.7589, 0.04598)
    for name, (square, mean) in printed.items():
        source = getattr(table, name)
        assert (round(source.square, 4), round(source.mean, 5)) == (square, mean), name
    assert [table[i].df for i in range(4)] == [2, 9, 18, 60]
    assert round(sum(table[i].square for i in range(4)), 4) == 94.6471
    assert round(table.interaction.mean / table.equipment.mean, 3) == 0.434
    assert table.interaction_p == pytest.approx(0.974, abs=5e-4)


def test_every_printed_digit_of_the_examples_components() -> None:
    found = anova(example())
    printed = {"ev": 0.199933, "av": 0.226838, "grr": 0.302373, "pv": 1.042327}
    for name, value in printed.items():
        assert getattr(found, name) == pytest.approx(value, abs=1.5e-6), name
    shares = [100.0 * getattr(found, name) / found.tv for name in printed]
    assert [round(share, 1) for share in shares] == [18.4, 20.9, 27.9, 96.0]
    assert (found.interaction, found.ndc) == (0.0, 4)


@pytest.mark.parametrize("interaction", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_the_twin(seed: int, interaction: float) -> None:
    rng = np.random.default_rng(seed)
    p, k, r = rng.integers(2, 8), rng.integers(2, 5), rng.integers(2, 5)
    values = 100.0 + rng.normal(0, 1, (p, 1, 1)) + rng.normal(0, 0.3, (1, k, 1)) + rng.normal(0, 0.2, (p, k, r))
    values += interaction * rng.normal(0, 1, (p, k, 1))
    found = anova(study_of(values))
    twin = study(values.tolist())
    assert (found.ev, found.av, found.interaction, found.pv) == pytest.approx(twin, rel=1e-9, abs=1e-9)
    for name, (square, df) in squares(values.tolist()).items():
        source = getattr(anova_table(study_of(values)), name)
        assert (source.square, source.df) == (pytest.approx(float(square), rel=1e-9, abs=1e-9), df)
    if interaction and p > 4:
        assert found.interaction > 0.0


def test_one_appraiser_is_a_study_of_the_equipment_alone() -> None:
    values = np.random.default_rng(1).normal(0, 1, (6, 1, 3))
    found = anova(study_of(values))
    assert (found.av, found.interaction) == (0.0, 0.0)
    assert (found.ev, found.pv) == pytest.approx(tuple(study(values.tolist())[i] for i in (0, 3)), rel=1e-12, abs=1e-12)


def test_parts_that_are_alike_leave_no_category() -> None:
    found = anova(study_of([[[1.0, 1.1], [1.0, 1.1]], [[1.0, 1.1], [1.0, 1.1]]]))
    assert (found.pv, found.ndc, found.percent_grr) == (0.0, 0, 100.0)


def test_a_system_without_variation_is_not_judged() -> None:
    found = anova(study_of([[[1.0, 1.0], [1.0, 1.0]], [[2.0, 2.0], [2.0, 2.0]]]))
    assert (found.grr, found.ndc) == (0.0, None)
    dead = anova(study_of(np.ones((3, 2, 2))))
    assert dead.ndc is None
    assert math.isnan(dead.percent_grr)


def test_an_interaction_without_any_scatter_is_not_pooled() -> None:
    found = anova(study_of([[[1.0, 1.0], [2.0, 2.0]], [[3.0, 3.0], [3.0, 3.0]]]))
    assert found.ev == 0.0
    assert found.interaction == pytest.approx(0.5)
