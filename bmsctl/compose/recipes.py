"""Recipes on disk: a folder with `platforms/`, `packs/` and `vehicles.toml`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import bmsctl
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.recipe_compiler import PackKeys, compile_recipe, pack_keys
from bmsctl.domain.recipe_compiler_sources import BYTES_MAX
from bmsctl.domain.recipe_locator import locate
from bmsctl.errors import RecipeError

INSTALLED = Path(bmsctl.__file__).parent.parent / "recipes"
VEHICLES = "vehicles.toml"


def read_in(folder: Path, name: str) -> bytes:
    """The bytes of a file of the folder, at most one more than a recipe may have.

    Raises:
        OSError: no such regular file, or it lies outside the folder.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise PermissionError(0, "outside the recipes folder")
    if not path.is_file():
        raise FileNotFoundError(0, "no such file")
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)


class _Scan(NamedTuple):
    found: list[tuple[str, PackKeys]]
    broken: list[str]


class RecipeBook:
    """The recipes of one folder, by default the installed ones."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = INSTALLED if folder is None else folder

    def read(self, name: str) -> bytes:
        """A file of the folder; OSError if there is none."""
        return read_in(self.folder, name)

    def files(self) -> list[str]:
        """The names of all pack recipes, in order."""
        return sorted(f"packs/{path.name}" for path in (self.folder / "packs").glob("*.toml"))

    def file_of(self, pack: str) -> str | None:
        """The newest recipe file of a pack id, None if there is none.

        Raises:
            RecipeError: two files claim the same id from the same day on.
        """
        return self._newest(lambda keys: keys.id == pack)

    def known(self) -> str:
        """All packs with their part numbers, for messages."""
        return ", ".join(f"{keys.id} ({keys.part_number})" for _, keys in self._scan().found) or "none"

    def unreadable(self) -> list[str]:
        """Why some files do not even say which pack they are for."""
        return self._scan().broken

    def by_pack(self, pack: str) -> Recipe:
        """The newest recipe of a pack id.

        Raises:
            RecipeError: no such pack, or its recipe cannot be compiled.
        """
        return self._compiled(self.file_of(pack), f"no pack {pack!r}")

    def by_part_number(self, part_number: str, on: date) -> Recipe:
        """The recipe in effect on a day for packs of a part number.

        Raises:
            RecipeError: there is none, or it cannot be compiled.
        """
        file = self._newest(
            lambda keys: keys.part_number == part_number and (keys.effective_from or date.min) <= on,
        )
        return self._compiled(file, f"no pack with part number {part_number!r} in effect on {on}")

    def vehicles(self) -> Mapping[str, str]:
        """Vehicle to pack id.

        Raises:
            RecipeError: the file is unreadable, or names a pack that has no recipe.
        """
        try:
            text = self.read(VEHICLES).decode()
            table = tomllib.loads(text)
        except (OSError, ValueError) as error:
            raise RecipeError([f"{VEHICLES}:1: file: cannot be read: {error}; correct it"]) from None
        packs = {keys.id for _, keys in self._scan().found}
        lines = locate(text)
        wrong = [
            f"{VEHICLES}:{lines[(vehicle,)]}: {vehicle}: no recipe for pack {pack!r}; name one of its packs"
            for vehicle, pack in table.items()
            if not isinstance(pack, str) or pack not in packs
        ]
        if wrong:
            raise RecipeError(wrong)
        return table

    def _scan(self) -> _Scan:
        """What each pack recipe is found by; a broken one must not stop the others."""
        scan = _Scan([], [])
        for name in self.files():
            try:
                scan.found.append((name, pack_keys(name, self.read)))
            except RecipeError as error:
                scan.broken.extend(error.findings)
        return scan

    def _newest(self, wanted: Callable[[PackKeys], bool]) -> str | None:
        matching = [(keys.effective_from or date.min, name) for name, keys in self._scan().found if wanted(keys)]
        if not matching:
            return None
        newest = max(matching)
        same_day = sorted(name for day, name in matching if day == newest[0])
        if len(same_day) > 1:
            what = f"in effect from the same day as {same_day[0]}; give one another effective_from"
            raise RecipeError([f"{same_day[1]}:1: pack.effective_from: {what}"])
        return newest[1]

    def _compiled(self, file: str | None, what: str) -> Recipe:
        if file is None:
            raise RecipeError([f"{self.folder}: {what}; known: {self.known()}", *self.unreadable()])
        return compile_recipe(file, self.read)


def compile_file(path: Path, book: RecipeBook) -> Recipe:
    """Compile a recipe file wherever it lies.

    Inside a folder that holds `vehicles.toml`, that folder is its recipes folder. A file elsewhere may extend
    files beside it, or else those of `book`.

    Raises:
        RecipeError: as `compile_recipe`.
    """
    here = path.absolute()
    for folder in here.parents:
        if (folder / VEHICLES).is_file():
            home = RecipeBook(folder)
            return compile_recipe(here.relative_to(folder).as_posix(), home.read)
    shown = os.fspath(path)

    def read(name: str) -> bytes:
        if name == shown:
            return read_in(here.parent, here.name)
        beside = (here.parent / name).is_file()
        return read_in(here.parent, name) if beside else book.read(name)

    return compile_recipe(shown, read)
