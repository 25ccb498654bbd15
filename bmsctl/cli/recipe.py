"""`bmsctl recipe`: what packs are tested by, and where each number came from."""

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
    """Compile recipes and tell everything that is wrong with them; without a name, the whole folder."""
    from bmsctl.compose.recipes import RecipeBook

    book = RecipeBook(recipes)
    checks = [_checked(name, partial(_compiled, name, book)) for name in names] or _folder_checks(book)
    if as_json:
        results = [{"name": one.name, "recipe": _identity(one.recipe), "findings": one.findings} for one in checks]
        click.echo(json.dumps(results, ensure_ascii=False, indent=2))
    else:
        for one in checks:
            _tell(one)
    if not checks:
        leave(USAGE, f"{book.folder / 'packs'}: no recipes there; name a file or another --recipes folder")
    refused = [one.name for one in checks if one.findings]
    leave(FAILED if refused else OK, f"refused: {', '.join(refused)}" if refused else "")


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


class _Checked(NamedTuple):
    """What a check found; a recipe only of a pack that can be tested."""

    name: str
    recipe: Recipe | None
    findings: list[str]


def _checked(name: str, compiled: Callable[[], Recipe]) -> _Checked:
    from bmsctl.errors import RecipeError

    try:
        return _Checked(name, compiled(), [])
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


def _compiled(name: str, book: RecipeBook) -> Recipe:
    """The recipe of a file or of a pack id; ends the command if there is no such thing."""
    from bmsctl.compose.recipes import compile_file

    if os.sep in name or name.endswith(".toml"):
        return compile_file(_existing(name, book), book)
    if book.file_of(name) is None and not book.unreadable():
        leave(USAGE, f"{name}: no such pack; known: {book.known()}")
    return book.by_pack(name)


def _existing(name: str, book: RecipeBook) -> Path:
    """The file of that name here, or else in the recipes folder; ends the command if there is none."""
    from bmsctl.compose.recipes import check_regular

    for path in (Path(name), book.folder / name):
        try:
            check_regular(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            leave(USAGE, f"{name}: {error.strerror}; name a recipe file")
        return path
    leave(USAGE, f"{name}: no such file, neither here nor in {book.folder}")


def _identity(compiled: Recipe | None) -> dict[str, str] | None:
    if compiled is None:
        return None
    return {"id": compiled.id, "revision": compiled.revision, "sha256": compiled.sha256}


def _tell(check: _Checked) -> None:
    name, compiled, findings = check
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
        limit = step.limit(name[0])
        guarded = " guarded" if limit.guard else ""
        return f"{getattr(limit, name[1]):.12g} {limit.unit or ''}".strip() + guarded
    value = step.params[name[0]]
    if isinstance(value, float):
        return f"{value:.12g} {spec.params[name[0]].unit}"
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value if not name[1:] else step.table(name[0])[name[1]])
