"""Good packs pass, whatever is drawn for them; `bmsctl sim day --packs 1000 --seed 0` runs more of them."""

from __future__ import annotations

from pathlib import Path

import jsonschema

from bmsctl.domain.record_schema import SCHEMA
from tests.support.simulate import RECIPE, Simulation

SEEDS = 5


def test_good_packs_pass(tmp_path: Path) -> None:
    for seed in range(SEEDS):
        record = Simulation(tmp_path / str(seed), seed=seed).run()
        bad = [(step["name"], step["verdict"], step["reason"]) for step in record["steps"] if step["verdict"] != "PASS"]
        assert (record["verdict"], bad) == ("PASS", [])
        assert record["disposition"] == "release"
        jsonschema.validate(record, SCHEMA)


def test_the_record_has_every_step_of_the_recipe_in_order_and_a_value_for_every_limit(tmp_path: Path) -> None:
    record = Simulation(tmp_path, seed=3).run()
    assert [step["name"] for step in record["steps"]] == [step.run for step in RECIPE.steps("eol")]
    for step, recipe in zip(record["steps"], RECIPE.steps("eol"), strict=True):
        assert sorted(value["name"] for value in step["measurements"]) == sorted(recipe.limits)
        assert all(isinstance(value["value"], float | int) for value in step["measurements"])
