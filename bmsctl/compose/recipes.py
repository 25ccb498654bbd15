"""Recipes on disk: a folder with `platforms/`, `packs/` and `vehicles.toml`."""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import bmsctl
from bmsctl.domain.canonical import sha256_hex
from bmsctl.domain.recipe import STACKING, Recipe
from bmsctl.domain.recipe_compiler import PackKeys, compile_recipe, pack_keys
from bmsctl.domain.recipe_compiler_sources import BYTES_MAX
from bmsctl.domain.recipe_compiler_values import shown
from bmsctl.domain.recipe_locator import locate
from bmsctl.errors import RecipeError

INSTALLED = Path(bmsctl.__file__).parent.parent / "recipes"
VEHICLES = "vehicles.toml"
IMAGE_BYTES_MAX = 64 * 1024 * 1024
IMAGE_REMEDIES = {errno.ENOENT: "put it there, or correct the name", errno.EACCES: "let the station read it"}


def check_regular(path: Path) -> None:
    """Make sure there is a regular file.

    Raises:
        OSError: there is none; says what there is instead.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, "no such file") from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a directory")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")


def read_in(folder: Path, name: str, bytes_max: int = BYTES_MAX) -> bytes:
    """The bytes of a file of the folder, at most one more than it may have.

    Raises:
        OSError: no such regular file, or it lies outside the folder.
    """
    try:
        home, path = folder.resolve(), (folder / name).resolve()
    except RuntimeError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
    except ValueError:
        raise OSError(errno.EINVAL, "no file can have that name") from None
    if not path.is_relative_to(home):
        raise PermissionError(errno.EPERM, "outside the recipes folder")
    check_regular(path)
    with path.open("rb") as file:
        return file.read(bytes_max + 1)


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

    def image(self, recipe: Recipe) -> bytes:
        """The software image that a recipe's BMS is flashed with.

        Raises:
            RecipeError: it cannot be read, or is not the one that the recipe names by its hash.
        """
        return _image(recipe, lambda name: read_in(self.folder, name, IMAGE_BYTES_MAX))

    def files(self) -> list[str]:
        """The names of all pack recipes, in order."""
        return sorted(f"packs/{path.name}" for path in (self.folder / "packs").glob("*.toml"))

    def file_of(self, pack: str, on: date | None = None) -> str | None:
        """The newest recipe file of a pack id, in effect on a day if that is given; None if there is none.

        Raises:
            RecipeError: two files claim the same id from the same day on.
        """
        return self._newest(lambda keys: keys.id == pack and _in_effect(keys, on))

    def known(self) -> str:
        """All packs with their part numbers, for messages."""
        return ", ".join(f"{keys.id} ({keys.part_number})" for _, keys in self._scan().found) or "none"

    def unreadable(self) -> list[str]:
        """Why some files do not even say which pack they are for."""
        return self._scan().broken

    def clashes(self) -> list[str]:
        """Which recipes claim the same id or part number from the same day on."""
        return [
            _clash(second, first)
            for (first, one), (second, other) in combinations(self._scan().found, 2)
            if one.effective_from == other.effective_from and _same_pack(one, other)
        ]

    def compile(self, file: str) -> Recipe:
        """A recipe of the folder, whose image is there; raises as `compile_recipe` and `image`."""
        recipe = compile_recipe(file, self.read)
        self.image(recipe)
        return recipe

    def by_pack(self, pack: str, on: date | None = None) -> Recipe:
        """The recipe of a pack id in effect on a day, without one the newest.

        Raises:
            RecipeError: no such pack, none in effect, or its recipe cannot be compiled.
        """
        exists = any(keys.id == pack for _, keys in self._scan().found)
        what = f"no recipe for pack {pack!r} in effect on {on}" if exists else f"no pack {pack!r}"
        return self._compiled(self.file_of(pack, on), what)

    def by_part_number(self, part_number: str, on: date) -> Recipe:
        """The recipe in effect on a day for packs of a part number.

        Raises:
            RecipeError: there is none, or it cannot be compiled.
        """
        file = self._newest(lambda keys: keys.part_number == part_number and _in_effect(keys, on))
        return self._compiled(file, f"no pack with part number {part_number!r} in effect on {on}")

    def vehicles(self) -> Mapping[str, str]:
        """Vehicle to pack id.

        Raises:
            RecipeError: the file is unreadable, or names a pack that has no recipe.
        """
        try:
            data = self.read(VEHICLES)
            if len(data) > BYTES_MAX:
                raise ValueError(f"more than {BYTES_MAX // 1024} KiB")
            text = data.decode()
            table, lines = tomllib.loads(text), locate(text)
        except OSError as error:
            raise RecipeError([f"{VEHICLES}:1: file: cannot be read ({error.strerror}); correct it"]) from None
        except ValueError as error:
            raise RecipeError([f"{VEHICLES}:1: file: cannot be read ({error}); correct it"]) from None
        except RecursionError:
            raise RecipeError([f"{VEHICLES}:1: file: nested too deeply; a line a vehicle is enough"]) from None
        packs = {keys.id for _, keys in self._scan().found}
        wrong = [
            f"{VEHICLES}:{lines[(vehicle,)]}: {vehicle}: no recipe for pack {shown(pack)}; name a pack that has one"
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
            raise RecipeError([_clash(same_day[1], same_day[0])])
        return newest[1]

    def _compiled(self, file: str | None, what: str) -> Recipe:
        if file is None:
            raise RecipeError([f"{self.folder}: {what}; known: {self.known()}", *self.unreadable()])
        return self.compile(file)


def _in_effect(keys: PackKeys, on: date | None) -> bool:
    return on is None or (keys.effective_from or date.min) <= on


def _same_pack(one: PackKeys, other: PackKeys) -> bool:
    same_id = one.id is not None and one.id == other.id
    return same_id or (one.part_number is not None and one.part_number == other.part_number)


def _clash(file: str, other: str) -> str:
    return f"{file}:1: pack.effective_from: in effect from the same day as {other}; give one another effective_from"


def _image(recipe: Recipe, read: Callable[[str], bytes]) -> bytes:
    """The image that a recipe names, read and found to be that one; RecipeError if not."""
    step = next(step for step in recipe.steps(STACKING) if step.run == "bms_flash")
    name, wanted = step.text("image"), step.text("image_sha256")
    try:
        image = read(name)
    except OSError as error:
        remedy = IMAGE_REMEDIES.get(error.errno or 0, "name a file of the recipes folder")
        raise _image_error(recipe, "image", f"{name!r} cannot be read ({error.strerror}); {remedy}") from None
    if len(image) > IMAGE_BYTES_MAX:
        what = f"{name!r} has more than {IMAGE_BYTES_MAX // 1024**2} MiB; name the BMS's software"
        raise _image_error(recipe, "image", what)
    found = sha256_hex(image)
    if found != wanted:
        remedy = "put the released image there, or correct image_sha256 by its release note"
        raise _image_error(recipe, "image_sha256", f"{wanted} here, but {name!r} has {found}; {remedy}")
    return image


def _image_error(recipe: Recipe, name: str, what: str) -> RecipeError:
    """An error at the place of a parameter of bms_flash; a recipe read back from a record knows no place."""
    key = f"{STACKING}.bms_flash.params.{name}"
    origin = recipe.provenance.get(key)
    return RecipeError([f"{f'{origin.file}:{origin.line}' if origin else f'recipe {recipe.id}'}: {key}: {what}"])


def compile_file(path: Path, book: RecipeBook) -> Recipe:
    """Compile a recipe file wherever it lies.

    Inside a folder that holds `vehicles.toml`, that folder is its recipes folder. A file elsewhere may extend
    files beside it, or else those of `book`; so for its image.

    Raises:
        RecipeError: as `RecipeBook.compile`.
    """
    here = path.absolute()
    for folder in here.parents:
        if (folder / VEHICLES).is_file():
            return RecipeBook(folder).compile(here.relative_to(folder).as_posix())
    shown = os.fspath(path)

    def read(name: str, bytes_max: int = BYTES_MAX) -> bytes:
        if name == shown:
            return read_in(here.parent, here.name, bytes_max)
        beside = (here.parent / name).exists()
        return read_in(here.parent if beside else book.folder, name, bytes_max)

    recipe = compile_recipe(shown, read)
    _image(recipe, lambda name: read(name, IMAGE_BYTES_MAX))
    return recipe
