"""`bmsctl recipe check`: everything that is wrong with recipes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bmsctl.cli.exits import FAILED, OK, USAGE, leave
from bmsctl.cli.options import json_option, recipes_option
from bmsctl.cli.recipe.naming import compiled, identity

if TYPE_CHECKING:
    from bmsctl.compose.recipes import RecipeBook
    from bmsctl.domain.recipe import Recipe


@click.command()
@click.argument("names", metavar="[PACK|PATH]...", nargs=-1)
@recipes_option
@json_option
def check(names: Sequence[str], recipes: Path | None, as_json: bool) -> None:
    """Compile recipes and tell everything that is wrong with them; without a name, the whole folder."""
    from bmsctl.compose.recipes import RecipeBook

    book = RecipeBook(recipes)
    checks = [_checked(name, partial(compiled, name, book)) for name in names] or _folder_checks(book)
    if as_json:
        results = [
            {"name": one.name, "recipe": one.recipe and identity(one.recipe), "findings": one.findings}
            for one in checks
        ]
        click.echo(json.dumps(results, ensure_ascii=False, indent=2))
    else:
        for one in checks:
            _tell(one)
    if not checks:
        leave(USAGE, f"{book.folder / 'packs'}: no recipes there; name a file or another --recipes folder")
    refused = [one.name for one in checks if one.findings]
    leave(FAILED if refused else OK, f"refused: {', '.join(refused)}" if refused else "")


class _Checked(NamedTuple):
    """What a check found; a recipe only of a pack that can be tested."""

    name: str
    recipe: Recipe | None
    findings: list[str]


def _checked(name: str, compile_: Callable[[], Recipe]) -> _Checked:
    from bmsctl.errors import RecipeError

    try:
        return _Checked(name, compile_(), [])
    except RecipeError as error:
        return _Checked(name, None, error.findings)


def _folder_checks(book: RecipeBook) -> list[_Checked]:
    """All packs of a folder, then what is wrong between its files."""
    from bmsctl.compose.recipes import VEHICLES
    from bmsctl.errors import RecipeError

    checks = [_checked(os.fspath(book.folder / file), partial(book.compile, file)) for file in book.files()]
    if not checks:
        return []
    clashes = book.clashes()
    if clashes:
        checks.append(_Checked(os.fspath(book.folder / "packs"), None, clashes))
    vehicles = book.folder / VEHICLES
    if os.path.lexists(vehicles):
        try:
            book.vehicles()
        except RecipeError as error:
            checks.append(_Checked(os.fspath(vehicles), None, error.findings))
    return checks


def _tell(one: _Checked) -> None:
    name, recipe, findings = one
    if recipe is not None:
        click.echo(f"{name}: ok, {recipe.id} revision {recipe.revision}, sha256 {recipe.sha256}")
    for finding in findings:
        click.echo(finding, err=True)
