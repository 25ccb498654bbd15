"""The self-test's recipe compiles like a pack's, is read back from a record, and leaves packs' recipes as they are."""

from __future__ import annotations

import pytest

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.recipe import SELFTEST, Recipe
from bmsctl.domain.selftest_recipe import compile_selftest
from bmsctl.domain.steps import SELFTEST as SPECS
from bmsctl.domain.steps import gate_of
from bmsctl.errors import RecipeError

BOOK = RecipeBook()
TEXT = BOOK.read("selftest.toml").decode()
RECIPE = compile_selftest("selftest.toml", BOOK.read)


def findings(old: str, new: str) -> str:
    assert old in TEXT
    with pytest.raises(RecipeError) as raised:
        compile_selftest("x.toml", lambda name: TEXT.replace(old, new, 1).encode())
    return str(raised.value)


def test_every_step_of_the_catalogue_is_there_in_order() -> None:
    assert [step.run for step in RECIPE.steps(SELFTEST)] == [spec.name for spec in SPECS]
    assert all(gate_of(spec.name) is not None for spec in SPECS)


def test_it_is_read_back_as_it_was() -> None:
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE


def test_a_packs_recipe_knows_nothing_of_it() -> None:
    assert SELFTEST not in BOOK.by_pack("AS52").to_json()
    assert BOOK.by_pack("AS52").steps(SELFTEST) == ()


def test_patience_outlasts_every_limit_so_that_a_slow_plc_fails() -> None:
    for step in RECIPE.steps(SELFTEST):
        if "patience" in step.params:
            assert all(
                limit.high is not None and limit.high < step.quantity("patience") for limit in step.limits.values()
            )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('revision = "1"', "", "revision: missing"),
        ('run = "dead_man"', 'run = "deadman"', "selftest.dead_man: mandatory step missing"),
        ("trip_time = {", "trip_tme = {", "selftest.dead_man.limits.trip_tme: unknown key; did you mean 'trip_time'?"),
        ('high = "350 ms"', 'high = "350 mm"', "selftest.dead_man.limits.trip_time.high"),
        ('revision = "1"', 'revision = "1"\n[pack]', "pack: unknown key"),
    ],
)
def test_a_mistake_is_told(old: str, new: str, said: str) -> None:
    assert said in findings(old, new)
