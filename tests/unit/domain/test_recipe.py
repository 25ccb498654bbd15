"""A resolved recipe survives JSON, and notices when it was changed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.canonical import canonical_json, sha256_hex
from bmsctl.domain.limits import Limit
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.recipe import Origin, Recipe, StepRecipe
from bmsctl.domain.units import Second, Volt

PACK = PackSpec("AS52", "PN", 96, 2, 4, Volt(403.2), Volt(350.0), date(2025, 1, 1))
STEP = StepRecipe(
    "precharge",
    True,
    Second(70.0),
    {"end_ratio": Limit(98.0, None, "%", True, "estimate: …"), "open_wires": Limit(None, 0.0, None, False, "fire")},
    {"settle": 0.2, "samples": 200, "hardware": "HW03", "dtc_owners": {"1B01": "precharge"}},
)
RECIPE = Recipe.of("1", PACK, {"stacking": (), "eol": (STEP,)}, {"pack.id": Origin("x.toml", 1, "AS52", "")})


def test_json_and_back_is_the_same_recipe() -> None:
    text = json.dumps(RECIPE.to_json(), allow_nan=False)
    again = Recipe.from_json(json.loads(text))
    assert again == RECIPE
    assert again.to_json() == RECIPE.to_json()
    assert again.provenance == {}


def test_the_hash_is_over_the_resolved_content_and_not_its_origin() -> None:
    content = {key: value for key, value in RECIPE.to_json().items() if key != "sha256"}
    assert RECIPE.sha256 == sha256_hex(canonical_json(content).encode())
    assert Recipe.of("1", PACK, {"stacking": (), "eol": (STEP,)}, {}).sha256 == RECIPE.sha256
    assert Recipe.of("2", PACK, {"stacking": (), "eol": (STEP,)}, {}).sha256 != RECIPE.sha256


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key))
    else:
        yield path


LEAVES = list(_leaves(RECIPE.to_json()))


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_a_changed_value_is_noticed(path: tuple[Any, ...]) -> None:
    values = RECIPE.to_json()
    holder: Any = values
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = "0" if holder[path[-1]] != "0" else "1"
    with pytest.raises(ValueError, match="sha256"):
        Recipe.from_json(values)


def _rehashed(values: dict[str, Any]) -> dict[str, Any]:
    content = {key: value for key, value in values.items() if key != "sha256"}
    return content | {"sha256": sha256_hex(canonical_json(content).encode())}


@pytest.mark.parametrize("path", [path for path in LEAVES if path != ("sha256",)], ids=lambda p: ".".join(map(str, p)))
@pytest.mark.parametrize("put", [{}, [], "delete"], ids=["table", "list", "missing"])
def test_what_is_not_a_recipe_is_a_value_error_or_read_but_nothing_else(path: tuple[Any, ...], put: Any) -> None:
    values = RECIPE.to_json()
    holder: Any = values
    for key in path[:-1]:
        holder = holder[key]
    if put == "delete":
        del holder[path[-1]]
    else:
        holder[path[-1]] = put
    with contextlib.suppress(ValueError):
        assert Recipe.from_json(_rehashed(values)).id


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_any_json_is_a_value_error(values: Any) -> None:
    with pytest.raises(ValueError, match=r"not a recipe|sha256"):
        Recipe.from_json(values)


def test_parameters_come_out_as_what_they_are() -> None:
    assert (STEP.quantity("settle"), STEP.count("samples"), STEP.text("hardware")) == (0.2, 200, "HW03")
    assert STEP.table("dtc_owners") == {"1B01": "precharge"}
    with pytest.raises(LookupError):
        STEP.quantity("none")


def test_steps_by_station() -> None:
    assert (RECIPE.steps("eol"), RECIPE.steps("stacking")) == ((STEP,), ())
    with pytest.raises(LookupError):
        RECIPE.steps("canteen")
