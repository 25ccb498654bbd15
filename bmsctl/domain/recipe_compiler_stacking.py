"""What the stacking steps of a recipe must agree on with the pack and with each other.

Each value has been read and is right by itself. What is found here would otherwise show only when a pack is built: a
bolt of a module that the pack does not have, a slot without an orientation, cells that no chip measures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bmsctl.domain.pack import PackSpec
from bmsctl.domain.parts import COVER, SORTS, busbar_slot, held_by, module_slot
from bmsctl.domain.recipe import STACKING, Parameter, StepRecipe
from bmsctl.domain.recipe_compiler_sources import Node
from bmsctl.domain.recipe_compiler_values import Values, instead, shown

LEAK_TESTS = ("coolant_leak", "housing_leak")
NOT_ZERO = ("test_pressure", "fill", "settle", "test", "volume")
"""Of a leak test: with one of them zero, every pack is tight."""
LISTED_MAX = 4

_CELLS = re.compile(r"([1-9][0-9]*) cells")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class StackingCheck:
    """Checks the steps of one recipe; a parameter that could not be read has its finding already."""

    def __init__(self, pack: PackSpec, steps: Sequence[StepRecipe], values: Values) -> None:
        self._pack = pack
        self._params = {step.run: step.params for step in steps}
        self._values = values
        self._modules = [module_slot(number) for number in range(1, pack.modules + 1)]
        self._busbars = [busbar_slot(number) for number in range(1, pack.modules + 2)]

    def check(self) -> None:
        """Note everything that does not fit."""
        for run in ("modules_in", "place"):
            self._check_slots(run, "slots", self._modules)
        self._check_orientations()
        self._check_slots("busbars", "busbars", self._busbars)
        self._check_bolts("bolts", self._modules, "m1.1")
        self._check_bolts("busbars", self._busbars, "b1.1")
        self._check_bolts("cover_bolts", [COVER], "c1")
        self._check_joints()
        self._check_chips()
        self._check_image()
        self._check_leak_tests()
        for run in self._params:
            self._check_redo_after(run)

    def _check_slots(self, run: str, name: str, wanted: Sequence[str]) -> None:
        """A table has exactly the slots wanted, in their order."""
        table, key = self._table(run, name), _key(run, name)
        for slot in (slot for slot in table if slot not in wanted):
            self._find(f"{key}.{slot}", f"no slot among {_span(wanted)}; correct the name, or pack.topology")
        missing = [slot for slot in wanted if slot not in table]
        if table and missing:
            self._find(key, f"without {_listed(missing)}; add what is missing, or correct pack.topology")
        if len(table) == len(wanted) and not missing:
            self._check_order(key, table, wanted)

    def _check_order(self, key: str, table: Mapping[str, str], wanted: Sequence[str]) -> None:
        """A table's names are those wanted, one by one."""
        for name, right in zip(table, wanted, strict=True):
            if name != right:
                self._find(f"{key}.{name}", f"{right} belongs here; number from 1 on, in order")
                return

    def _check_orientations(self) -> None:
        """A module is placed as it was chosen."""
        chosen, placed = self._table("modules_in", "slots"), self._table("place", "slots")
        for slot in (slot for slot in placed if slot in chosen and placed[slot] != chosen[slot]):
            other = self._values.origins[f"{_key('modules_in', 'slots')}.{slot}"]
            what = f"{shown(placed[slot])}, but {shown(chosen[slot])} in modules_in ({other.file}:{other.line})"
            self._find(f"{_key('place', 'slots')}.{slot}", f"{what}; correct one of them")

    def _check_bolts(self, run: str, parts: Sequence[str], example: str) -> None:
        """Every bolt holds one of the parts, and every part is held."""
        bolts, key = self._names(run, "bolts"), _key(run, "bolts")
        held = {bolt: _held(bolt) for bolt in bolts}
        for bolt in (bolt for bolt in bolts if held[bolt] not in parts):
            self._find(key, f"{shown(bolt)} is no bolt of {_span(parts)}; name it like {example}")
        loose = [part for part in parts if part not in held.values()]
        if bolts and loose:
            self._find(key, f"no bolt holds {_listed(loose)}; add one for each")

    def _check_joints(self) -> None:
        joints, wanted = self._names("joints", "joints"), 2 * len(self._busbars)
        if joints and len(joints) != wanted:
            what = f"{len(joints)} joints, but {len(self._busbars)} busbars have {wanted}"
            self._find(_key("joints", "joints"), f"{what}; name both ends of each busbar")

    def _check_chips(self) -> None:
        """The chips of the chain measure every cell group of the pack."""
        table, key = self._table("harness", "chips"), _key("harness", "chips")
        self._check_order(key, table, [f"chip {number}" for number in range(1, len(table) + 1)])
        found = {chip: _CELLS.fullmatch(text) for chip, text in table.items()}
        for chip in (chip for chip in table if found[chip] is None):
            self._find(f"{key}.{chip}", f'{shown(table[chip])} is no number of cells; write it like "16 cells"')
        counts = [int(match[1]) for match in found.values() if match is not None]
        if table and len(counts) == len(table) and sum(counts) != self._pack.series:
            what = f"{sum(counts)} cells, the pack has {self._pack.series} cell groups"
            self._find(key, f"{what}; correct the chips, or pack.topology")

    def _check_image(self) -> None:
        sha256 = self._parameter("bms_flash", "image_sha256")
        if isinstance(sha256, str) and not _SHA256.fullmatch(sha256):
            what = f"{shown(sha256)} is no sha256; write its 64 digits 0-9 a-f, from the image's release note"
            self._find(_key("bms_flash", "image_sha256"), what)

    def _check_leak_tests(self) -> None:
        for run in LEAK_TESTS:
            for name in (name for name in NOT_ZERO if self._parameter(run, name) == 0.0):
                self._find(_key(run, name), "zero, no leak would be found; state the real value")

    def _check_redo_after(self, run: str) -> None:
        for sort in (sort for sort in self._names(run, "redo_after") if sort not in SORTS):
            self._find(_key(run, "redo_after"), f"{shown(sort)} is no sort of part; {instead(sort, SORTS)}")

    def _find(self, key: str, what: str) -> None:
        """Note what is wrong with a value where it is written; with a table, at its last entry."""
        origins = self._values.origins
        origin = origins.get(key) or next(origins[entry] for entry in reversed(origins) if entry.startswith(f"{key}."))
        self._values.findings.add(Node(None, origin.file, origin.line), key, what)

    def _parameter(self, run: str, name: str) -> Parameter | None:
        return self._params.get(run, {}).get(name)

    def _table(self, run: str, name: str) -> Mapping[str, str]:
        table = self._parameter(run, name)
        return table if isinstance(table, Mapping) else {}

    def _names(self, run: str, name: str) -> tuple[str, ...]:
        names = self._parameter(run, name)
        return names if isinstance(names, tuple) else ()


def _key(run: str, name: str) -> str:
    return f"{STACKING}.{run}.params.{name}"


def _held(bolt: str) -> str | None:
    try:
        return held_by(bolt)
    except ValueError:
        return None


def _span(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{parts[0]} to {parts[-1]}"


def _listed(parts: Sequence[str]) -> str:
    more = len(parts) - LISTED_MAX
    return ", ".join(parts[:LISTED_MAX]) + (f" and {more} more" if more > 0 else "")
