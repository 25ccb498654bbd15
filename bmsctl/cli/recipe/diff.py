"""`bmsctl recipe diff`: what changed between two recipes, in an engineer's words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import FAILED, USAGE, leave
from bmsctl.cli.options import json_option, recipes_option
from bmsctl.cli.recipe.naming import compiled, identity

if TYPE_CHECKING:
    from bmsctl.domain.recipe_diff import Change

COLOURS = {"tighter": "yellow", "looser": "magenta"}


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@click.option(
    "--old-recipes",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of recipes in which OLD is looked for, as that of an earlier release; NEW is then OLD by default.",
)
@recipes_option
@json_option
def diff(old: str, new: str | None, old_recipes: Path | None, recipes: Path | None, as_json: bool) -> None:
    """Tell what changed from recipe OLD to recipe NEW, pack ids or files: which limit, by how much, tighter or looser.

    \b
    bmsctl recipe diff packs/as52.toml packs/as52_2026.toml
    bmsctl recipe diff AS52 --old-recipes ../released/recipes
    """
    from bmsctl.compose.recipes import RecipeBook
    from bmsctl.domain.recipe_diff import Effect, compare
    from bmsctl.errors import RecipeError

    if new is None and old_recipes is None:
        leave(USAGE, "there is nothing to compare with; name a second recipe, or a folder with --old-recipes")
    book = RecipeBook(recipes)
    try:
        before = compiled(old, book if old_recipes is None else RecipeBook(old_recipes))
        after = compiled(old if new is None else new, book)
    except RecipeError as error:
        leave(FAILED, str(error))
    changes = compare(before, after)
    counts = {effect.value: sum(change.effect is effect for change in changes) for effect in Effect}
    reused = bool(changes) and (before.id, before.revision) == (after.id, after.revision)
    if as_json:
        told = {"old": identity(before), "new": identity(after), "counts": counts, "revision_reused": reused}
        click.echo(json.dumps(told | {"changes": [_json(one) for one in changes]}, ensure_ascii=False, indent=2))
    else:
        _tell(changes)
        click.echo(", ".join(f"{n} {effect}" for effect, n in counts.items() if n) or "no difference")
    if reused:
        click.echo(f"bmsctl: revision {after.revision} in both; give the new recipe another revision", err=True)


def _json(change: Change) -> dict[str, object]:
    origin = change.origin
    return {
        "key": change.key,
        "what": change.what.value,
        "old": change.old,
        "new": change.new,
        "effect": change.effect.value,
        "text": change.text,
        "origin": None if origin is None else origin._asdict(),
    }


def _tell(changes: Sequence[Change]) -> None:
    """A line a change, under its station; where it is written at the end."""
    station = None
    for change in changes:
        if change.key.partition(".")[0] != station:
            station = change.key.partition(".")[0]
            click.echo(station)
        colour = COLOURS.get(change.effect.value)
        where = "" if change.origin is None else f"  ({change.origin.file}:{change.origin.line})"
        click.echo(f"  {click.style(change.text, fg=colour)}{where}")
