"""`bmsctl recipe`: what packs are tested by, and where each number came from."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import FAILED, OK, USAGE, leave
from bmsctl.cli.options import json_option, recipes_option

if TYPE_CHECKING:
    from bmsctl.compose.recipes import RecipeBook
    from bmsctl.domain.recipe import Recipe

PACK_VALUES = {
    "pack.topology.series": "series",
    "pack.topology.parallel": "parallel",
    "pack.topology.modules": "modules",
    "pack.max_working_voltage": "u_max",
    "pack.nominal_voltage": "u_nom",
}


@click.group()
def recipe() -> None:
    """Check and show recipes."""


@recipe.command()
@click.argument("names", metavar="[PACK|PATH]...", nargs=-1)
@recipes_option
@json_option
def check(names: Sequence[str], recipes: Path | None, as_json: bool) -> None:
    """Compile recipes and tell everything that is wrong with them; without a name, all packs."""
    from bmsctl.compose.recipes import RecipeBook
    from bmsctl.errors import RecipeError

    book = RecipeBook(recipes)
    results = []
    for name in names or [str(book.folder / file) for file in book.files()]:
        findings: list[str] = []
        compiled: Recipe | None = None
        try:
            compiled = _compiled(name, book)
        except RecipeError as error:
            findings = error.findings
        results.append({"name": name, "recipe": _identity(compiled), "findings": findings})
        if not as_json:
            _tell(name, compiled, findings)
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False, indent=2))
    refused = [result["name"] for result in results if result["recipe"] is None]
    if refused:
        leave(FAILED, f"refused: {', '.join(map(str, refused))}")
    if not results:
        leave(USAGE, f"{book.folder / 'packs'}: no recipes there; name a file or another --recipes folder")
    leave(OK)


@recipe.command()
@click.argument("name", metavar="PACK|PATH")
@recipes_option
@json_option
def show(name: str, recipes: Path | None, as_json: bool) -> None:
    """Show every resolved value of a recipe, with file, line and reason."""
    from bmsctl.cli.tables import print_table
    from bmsctl.compose.recipes import RecipeBook
    from bmsctl.errors import RecipeError

    try:
        compiled = _compiled(name, RecipeBook(recipes))
    except RecipeError as error:
        leave(FAILED, str(error))
    if as_json:
        provenance = {key: origin._asdict() for key, origin in compiled.provenance.items()}
        click.echo(json.dumps({**compiled.to_json(), "provenance": provenance}, ensure_ascii=False, indent=2))
        return
    click.echo(f"{compiled.id} revision {compiled.revision}\nsha256 {compiled.sha256}\n")
    rows = [
        (key, _value(compiled, key), origin.text, f"{origin.file}:{origin.line}", origin.why)
        for key, origin in compiled.provenance.items()
    ]
    print_table(("key", "value", "as written", "from", "why"), rows)


def _compiled(name: str, book: RecipeBook) -> Recipe:
    """The recipe of a file or of a pack id; ends the command if there is no such thing."""
    from bmsctl.compose.recipes import compile_file

    if os.sep in name or name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            leave(USAGE, f"{name}: no such file")
        return compile_file(path, book)
    if book.file_of(name) is None and not book.unreadable():
        leave(USAGE, f"{name}: no such pack; known: {book.known()}")
    return book.by_pack(name)


def _identity(compiled: Recipe | None) -> dict[str, str] | None:
    if compiled is None:
        return None
    return {"id": compiled.id, "revision": compiled.revision, "sha256": compiled.sha256}


def _tell(name: str, compiled: Recipe | None, findings: Sequence[str]) -> None:
    if compiled is not None:
        click.echo(f"{name}: ok, {compiled.id} revision {compiled.revision}, sha256 {compiled.sha256}")
    for finding in findings:
        click.echo(finding, err=True)


def _value(compiled: Recipe, key: str) -> str:
    """A resolved value in its unit without prefix, as a person reads it."""
    from bmsctl.domain.steps import CATALOGUE

    if key in PACK_VALUES:
        return f"{getattr(compiled.pack, PACK_VALUES[key]):g}{' V' if key.endswith('voltage') else ''}"
    if key.startswith("pack."):
        return compiled.provenance[key].text
    station, run, what, *name = key.split(".")
    step = next(step for step in compiled.steps(station) if step.run == run)
    spec = next(spec for spec in CATALOGUE[station] if spec.name == run)
    if what == "max_time":
        return f"{step.max_s:g} s"
    if what == "limits":
        limit = step.limits[name[0]]
        guarded = " guarded" if limit.guard else ""
        return f"{getattr(limit, name[1]):.12g} {limit.unit or ''}".strip() + guarded
    value = step.params[name[0]]
    if isinstance(value, float):
        return f"{value:.12g} {spec.params[name[0]].unit}"
    return str(value if not name[1:] else step.table(name[0])[name[1]])
