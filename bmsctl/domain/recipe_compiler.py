"""From recipe files to a recipe: everything checked before anything moves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from bmsctl.domain.message_sets import MESSAGE_SETS
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.recipe import STACKING, Recipe
from bmsctl.domain.recipe_compiler_sources import Findings, Node, Read, load
from bmsctl.domain.recipe_compiler_stacking import StackingCheck
from bmsctl.domain.recipe_compiler_steps import StationCompiler
from bmsctl.domain.recipe_compiler_values import Values
from bmsctl.domain.steps import CATALOGUE, Catalogue
from bmsctl.domain.units import Volt
from bmsctl.errors import RecipeError

PACK_KEYS = (
    "id",
    "revision",
    "part_number",
    "effective_from",
    "topology",
    "max_working_voltage",
    "nominal_voltage",
    "sensors_per_module",
    "message_set",
)
PLATFORM_KEYS = {"sensors_per_module", "message_set"}
"""What a platform may say of all its packs; a [pack] with no more than that describes none."""
TOPOLOGY_KEYS = ("series", "parallel", "modules")
TOPOLOGY_MAX = 1000


class PackKeys(NamedTuple):
    """What a pack recipe is found by; None where the file does not say or says it wrongly."""

    id: str | None
    part_number: str | None
    effective_from: date | None


def pack_keys(path: str, read: Read) -> PackKeys:
    """What the recipe at `path` is found by, without checking the rest of it.

    Raises:
        RecipeError: it cannot be read.
    """
    pack = load(path, read, Findings()).value.get("pack", Node({}, path, 1))
    values = Values(Findings())
    entries = pack.value if isinstance(pack.value, dict) else {}
    texts = [values.text(entries[key], key) if key in entries else None for key in ("id", "part_number")]
    day = values.day(entries["effective_from"], "effective_from") if "effective_from" in entries else None
    return PackKeys(texts[0], texts[1], day)


def compile_recipe(path: str, read: Read, catalogue: Catalogue = CATALOGUE) -> Recipe:
    """Compile the pack recipe at `path`.

    Args:
        path: the file's name, as `read` and messages know it.
        read: the bytes of a named file; raises OSError if there is none. Bytes beyond the permitted size may
            be left out.

    Raises:
        RecipeError: with all findings, each `file:line: key: what; remedy`.
    """
    findings = Findings()
    values = Values(findings)
    root = load(path, read, findings)
    tables = values.table(root, "", ("pack", *catalogue))
    revision, pack = _pack(tables.get("pack"), root, values)
    steps = {
        station: StationCompiler(station, specs, values).compile(tables, root) for station, specs in catalogue.items()
    }
    if pack is not None:
        StackingCheck(pack, steps.get(STACKING, ()), values).check()
    if findings.texts or pack is None:
        raise RecipeError(findings.texts)
    return Recipe.of(revision or "", pack, steps, values.origins)


def _pack(node: Node | None, root: Node, values: Values) -> tuple[str | None, PackSpec | None]:
    if node is None or (isinstance(node.value, dict) and node.value.keys() <= PLATFORM_KEYS):
        values.missing(root, "pack", "[pack], or check a pack that extends this file")
        return None, None
    entries = values.table(node, "pack", PACK_KEYS)
    for key in PACK_KEYS:
        if key not in entries and key != "effective_from":
            values.missing(node, f"pack.{key}", f"{key} = … to [pack]")
    found: dict[str, Any] = {}
    for key in entries:
        found[key] = _pack_value(key, entries[key], values)
    topology = values.table(entries.get("topology"), "pack.topology", (*TOPOLOGY_KEYS, "why"))
    for key in TOPOLOGY_KEYS:
        if key in topology:
            found[key] = values.count(topology[key], f"pack.topology.{key}", least=1, most=TOPOLOGY_MAX)
        elif "topology" in entries:
            values.missing(entries["topology"], f"pack.topology.{key}", f"{key} = …")
    required = [key for key in (*PACK_KEYS, *TOPOLOGY_KEYS) if key not in ("topology", "effective_from")]
    if any(found.get(key) is None for key in required):
        return None, None
    pack = PackSpec(
        id=found["id"],
        part_number=found["part_number"],
        series=found["series"],
        parallel=found["parallel"],
        modules=found["modules"],
        u_max=Volt(found["max_working_voltage"]),
        u_nom=Volt(found["nominal_voltage"]),
        effective_from=found.get("effective_from"),
        sensors_per_module=found["sensors_per_module"],
        message_set=found["message_set"],
    )
    _check_pack(pack, entries, values)
    return found["revision"], pack


def _pack_value(key: str, node: Node, values: Values) -> Any:
    name = f"pack.{key}"
    if key == "topology":
        return None
    if key == "effective_from":
        return values.day(node, name)
    if key == "id":
        return values.identifier(node, name)
    if key == "sensors_per_module":
        return values.count(node, name, least=1, most=TOPOLOGY_MAX)
    if key == "message_set":
        return values.choice(node, name, tuple(MESSAGE_SETS))
    if key not in ("max_working_voltage", "nominal_voltage"):
        return values.text(node, name)
    voltage_v = values.quantity(node, name, "V")
    if voltage_v is not None and voltage_v <= 0.0:
        values.findings.add(node, name, "not above 0 V; state the pack's voltage")
        return None
    if key == "max_working_voltage" and voltage_v is not None:
        values.u_max = Volt(voltage_v)
    return voltage_v


def _check_pack(pack: PackSpec, entries: Mapping[str, Node], values: Values) -> None:
    if pack.u_nom > pack.u_max:
        what = "above pack.max_working_voltage; correct one of them"
        values.findings.add(entries["nominal_voltage"], "pack.nominal_voltage", what)
    if pack.series % pack.modules:
        what = f"{pack.series} cell groups do not divide into {pack.modules} modules; correct one of them"
        values.findings.add(entries["topology"], "pack.topology", what)
    assert pack.message_set is not None
    room = MESSAGE_SETS[pack.message_set]
    for kind, there, most in zip(room._fields, pack.channels, room, strict=True):
        if there > most:
            what = f"{pack.message_set} has channels for {most} {kind}, the pack has {there}; correct one of them"
            values.findings.add(entries["message_set"], "pack.message_set", what)
