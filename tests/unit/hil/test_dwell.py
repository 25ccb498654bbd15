"""Dwell times on the bench."""

from __future__ import annotations

import pytest

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.recipe import Recipe
from hil.dwell import DWELLS, shortened

RECIPE: Recipe = RecipeBook(None).by_pack("AS52")


def test_only_dwell_times_are_divided() -> None:
    changed = {
        (step.run, name)
        for step, short in zip(RECIPE.eol, shortened(RECIPE, 10.0).eol, strict=True)
        for name in step.params
        if step.params[name] != short.params[name]
    }
    assert changed == {(step, name) for step, names in DWELLS.items() for name in names}


def test_limits_and_deadlines_stay() -> None:
    for step, short in zip(RECIPE.eol, shortened(RECIPE, 10.0).eol, strict=True):
        assert (short.max_s, short.limits) == (step.max_s, step.limits)


def test_the_recipe_tells_that_it_is_shortened() -> None:
    short = shortened(RECIPE, 4.0)
    assert short.revision == f"{RECIPE.revision}, dwell times / 4"
    assert short.sha256 != RECIPE.sha256
    assert Recipe.from_json(short.to_json()) == short


def test_a_factor_of_one_changes_nothing() -> None:
    assert shortened(RECIPE, 1.0) is RECIPE


@pytest.mark.parametrize("factor", [0.5, 10.1, float("nan")])
def test_other_factors_are_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="from 1 to 10"):
        shortened(RECIPE, factor)
