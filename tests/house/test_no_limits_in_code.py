"""No limit and no number of a product in code: what a recipe says is said nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.simulate import RECIPE

ROOT = Path(__file__).parents[2]
TOPS = ("stations", "analysis", "compose", "domain")
EXEMPT = {
    ROOT / "bmsctl/domain/units.py": "powers of ten",
    ROOT / "bmsctl/domain/message_sets.py": "what a message set has room for, whatever the pack",
}
SOURCES = sorted(path for top in TOPS for path in (ROOT / "bmsctl" / top).rglob("*.py") if path not in EXEMPT)


def telling(value: float) -> bool:
    """Whether a number is unlikely to mean something else: it has more than one significant digit."""
    return len(f"{value:e}".split("e")[0].rstrip("0").replace(".", "")) > 1


def recipe_numbers() -> dict[float, str]:
    """Every bound of a limit, and every number of the pack, with where it stands."""
    found = {
        float(RECIPE.pack.u_max): "pack.max_working_voltage",
        float(RECIPE.pack.u_nom): "pack.nominal_voltage",
        float(RECIPE.pack.series): "pack.topology.series",
    }
    for step in (*RECIPE.steps("stacking"), *RECIPE.steps("eol")):
        for name, limit in step.limits.items():
            for bound in (limit.low, limit.high):
                if bound is not None:
                    found[abs(bound)] = f"{step.run}.limits.{name}"
        for name in ("test_voltage", "capacity", "activation_temperature", "test_resistor", "reference_resistor"):
            value = step.params.get(name)
            if isinstance(value, float):
                found[value] = f"{step.run}.params.{name}"
    return {value: where for value, where in found.items() if telling(value)}


def constants(tree: ast.AST) -> Iterator[tuple[int, float]]:
    """Line and magnitude of every number in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            yield node.lineno, abs(float(node.value))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_number_of_the_recipe_is_in_the_code(path: Path) -> None:
    numbers = recipe_numbers()
    found = [
        f"{path.name}:{line}: {value:g} is {numbers[value]}"
        for line, value in constants(ast.parse(path.read_text()))
        if value in numbers
    ]
    assert found == []


def test_the_search_finds_what_it_looks_for() -> None:
    numbers = recipe_numbers()
    assert {403.2, 201600.0, 0.025, 57e-3 * 0.75} <= set(numbers)
    assert [value for _, value in constants(ast.parse("if cell_v > 3.9 or gain < -2e-1: pass"))] == [3.9, 0.2]
