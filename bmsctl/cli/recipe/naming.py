"""The recipe that a person names, by pack id or file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bmsctl.cli.exits import USAGE, leave

if TYPE_CHECKING:
    from bmsctl.compose.recipes import RecipeBook
    from bmsctl.domain.recipe import Recipe


def compiled(name: str, book: RecipeBook) -> Recipe:
    """The recipe of a file or of a pack id; ends the command if there is no such thing.

    Raises:
        RecipeError: it cannot be compiled.
    """
    from bmsctl.compose.recipes import compile_file

    path = file_named(name, book)
    if path is not None:
        return compile_file(path, book)
    if book.file_of(name) is None and not book.unreadable():
        leave(USAGE, f"{name}: no such pack; known: {book.known()}")
    return book.by_pack(name)


def file_named(name: str, book: RecipeBook) -> Path | None:
    """The file of that name here, or else in the recipes folder; None for a pack id; ends the command if there is
    none."""
    from bmsctl.compose.recipes import check_regular

    if not (os.sep in name or name.endswith(".toml")):
        return None
    for path in (Path(name), book.folder / name):
        try:
            check_regular(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "no file can have that name"
            leave(USAGE, f"{name}: {why}; name a recipe file")
        return path
    leave(USAGE, f"{name}: no such file, neither here nor in {book.folder}")


def home_of(name: str, book: RecipeBook) -> Path:
    """The recipes folder of what a person names: the book's, or that of a file elsewhere, or else its own folder."""
    from bmsctl.compose.recipes import VEHICLES

    path = file_named(name, book)
    if path is None or path.resolve().is_relative_to(book.folder.resolve()):
        return book.folder
    here = path.absolute().parent
    return next((folder for folder in (here, *here.parents) if (folder / VEHICLES).is_file()), here)


def identity(recipe: Recipe) -> dict[str, str]:
    """What JSON calls a recipe by."""
    return {"id": recipe.id, "revision": recipe.revision, "sha256": recipe.sha256}
