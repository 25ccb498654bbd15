"""`bmsctl recipe show`: every resolved value, and where it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import FAILED, leave
from bmsctl.cli.options import json_option, recipes_option
from bmsctl.cli.recipe.naming import compiled

if TYPE_CHECKING:
    from bmsctl.domain.recipe import Recipe

PACK_VALUES = {
    "pack.topology.series": "series",
    "pack.topology.parallel": "parallel",
    "pack.topology.modules": "modules",
    "pack.max_working_voltage": "u_max",
    "pack.nominal_voltage": "u_nom",
}


@click.command()
@click.argument("name", metavar="PACK|PATH")
@recipes_option
@json_option
def show(name: str, recipes: Path | None, as_json: bool) -> None:
    """Show every resolved value of a recipe, with file, line and reason."""
    from bmsctl.cli.tables import print_table
    from bmsctl.compose.recipes import RecipeBook
    from bmsctl.errors import RecipeError

    try:
        recipe = compiled(name, RecipeBook(recipes))
    except RecipeError as error:
        leave(FAILED, str(error))
    if as_json:
        provenance = {key: origin._asdict() for key, origin in recipe.provenance.items()}
        click.echo(json.dumps({**recipe.to_json(), "provenance": provenance}, ensure_ascii=False, indent=2))
        return
    click.echo(f"{recipe.id} revision {recipe.revision}\nsha256 {recipe.sha256}\n")
    rows = [
        (key, _value(recipe, key), origin.text, f"{origin.file}:{origin.line}", origin.why)
        for key, origin in recipe.provenance.items()
    ]
    print_table(("key", "value", "as written", "from", "why"), rows)


def _value(recipe: Recipe, key: str) -> str:
    """A resolved value in its unit without prefix, as a person reads it."""
    from bmsctl.domain.steps import CATALOGUE

    if key in PACK_VALUES:
        return f"{getattr(recipe.pack, PACK_VALUES[key]):g}{' V' if key.endswith('voltage') else ''}"
    if key.startswith("pack."):
        return recipe.provenance[key].text
    station, run, what, *name = key.split(".")
    step = next(step for step in recipe.steps(station) if step.run == run)
    spec = next(spec for spec in CATALOGUE[station] if spec.name == run)
    if what == "max_time":
        return f"{step.max_s:g} s"
    if what == "limits":
        limit = step.limit(name[0])
        guarded = " guarded" if limit.guard else ""
        return f"{getattr(limit, name[1]):.12g} {limit.unit or ''}".strip() + guarded
    value = step.params[name[0]]
    if isinstance(value, float):
        return f"{value:.12g} {spec.params[name[0]].unit}"
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value if not name[1:] else step.table(name[0])[name[1]])
