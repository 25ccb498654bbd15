"""A shift: which vehicle's pack comes next on a mixed line."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bmsctl.compose.recipes import VEHICLES, RecipeBook
from bmsctl.compose.simulation import SIMULATED_DAY
from bmsctl.domain.recipe_compiler_values import shown
from bmsctl.errors import RecipeError

SHARE_MAX = 1000


class Share(NamedTuple):
    """So many parts of the packs are for this vehicle."""

    vehicle: str
    pack: str
    parts: int


def read_mix(text: str, recipes: Path | None) -> list[Share]:
    """The shares of a mix file: `[[mix]]` tables of `vehicle` and `share`; empty: every vehicle alike.

    Raises:
        ValueError: not such a file, or a vehicle nobody knows; says which.
        RecipeError: the vehicles cannot be read, or the recipe of one cannot be compiled.
    """
    book = RecipeBook(recipes)
    vehicles = book.vehicles()
    if not vehicles:
        raise RecipeError([f"{VEHICLES}:1: file: names no vehicle; add one"])
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        raise ValueError(f"not TOML: {error}") from None
    except RecursionError:
        raise ValueError("nested too deeply; a mix is [[mix]] tables") from None
    if unknown := sorted(document.keys() - {"mix"}):
        raise ValueError(f"unknown key {unknown[0]!r}; only [[mix]] tables are allowed")
    tables = document.get("mix", [{"vehicle": vehicle, "share": 1} for vehicle in vehicles])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ValueError("mix must be an array of tables; write [[mix]]")
    shares: list[Share] = []
    for number, table in enumerate(tables, start=1):
        place = f"mix {number}"
        if table.keys() != {"vehicle", "share"}:
            raise ValueError(f"{place}: give vehicle and share, and nothing else")
        vehicle, parts = table["vehicle"], table["share"]
        if not isinstance(vehicle, str) or vehicle not in vehicles:
            raise ValueError(f"{place}: unknown vehicle {shown(vehicle)}; known: {', '.join(vehicles)}")
        if isinstance(parts, bool) or not isinstance(parts, int) or not 1 <= parts <= SHARE_MAX:
            raise ValueError(f"{place}: share = {shown(parts)}: must be a whole number from 1 to {SHARE_MAX}")
        if any(share.vehicle == vehicle for share in shares):
            raise ValueError(f"{place}: {vehicle} is there twice; add up its shares")
        shares.append(Share(vehicle, vehicles[vehicle], parts))
    for pack in sorted({share.pack for share in shares}):
        book.by_pack(pack, SIMULATED_DAY)
    return shares


def planned(shares: Sequence[Share], packs: int, seed: int) -> Iterator[tuple[str, str]]:
    """Vehicle and pack of each place in the sequence, in an order that the seed decides."""
    order = random.Random(seed)
    for _ in range(packs):
        (share,) = order.choices(shares, [share.parts for share in shares])
        yield share.vehicle, share.pack
