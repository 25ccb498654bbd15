"""From recipe files to a recipe: everything checked before anything moves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from bmsctl.domain.limits import Limit
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.recipe import Parameter, Recipe, StepRecipe
from bmsctl.domain.recipe_compiler_sources import Findings, Node, Read, load
from bmsctl.domain.recipe_compiler_values import Values
from bmsctl.domain.steps import CATALOGUE, Catalogue, Kind, MeasureSpec, ParamSpec, StepSpec
from bmsctl.domain.units import Second, Volt
from bmsctl.errors import RecipeError

PACK_KEYS = (
    "id",
    "revision",
    "part_number",
    "effective_from",
    "topology",
    "max_working_voltage",
    "nominal_voltage",
)
TOPOLOGY_KEYS = ("series", "parallel", "modules")
STEP_KEYS = ("run", "skip", "max_time", "limits", "params")
LIMIT_KEYS = ("low", "high", "guard", "why")
EXAMPLES = {None: "1", "s": '"1 s"'}


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
    tables = values.table(root, "", ("pack", *catalogue), root)
    revision, pack = _pack(tables.get("pack"), root, values)
    steps = {station: _Station(station, specs, values).compile(tables, root) for station, specs in catalogue.items()}
    if findings.texts or pack is None:
        raise RecipeError(findings.texts)
    return Recipe.of(revision or "", pack, steps, values.origins)


def _pack(node: Node | None, root: Node, values: Values) -> tuple[str | None, PackSpec | None]:
    if node is None:
        values.missing(root, "pack", "[pack], or check a pack that extends this file")
        return None, None
    entries = values.table(node, "pack", PACK_KEYS, root)
    for key in PACK_KEYS:
        if key not in entries and key != "effective_from":
            values.missing(node, f"pack.{key}", f"{key} = … to [pack]")
    found: dict[str, Any] = {}
    for key in entries:
        found[key] = _pack_value(key, entries[key], values)
    topology = values.table(entries.get("topology"), "pack.topology", (*TOPOLOGY_KEYS, "why"), node)
    for key in TOPOLOGY_KEYS:
        if key in topology:
            found[key] = values.count(topology[key], f"pack.topology.{key}", least=1)
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
    )
    _check_pack(pack, entries, values)
    return found["revision"], pack


def _pack_value(key: str, node: Node, values: Values) -> Any:
    name = f"pack.{key}"
    if key == "topology":
        return None
    if key == "effective_from":
        return values.day(node, name)
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


class _Station:
    """Compiles the steps of one station."""

    def __init__(self, station: str, specs: tuple[StepSpec, ...], values: Values) -> None:
        self._station = station
        self._specs = {spec.name: spec for spec in specs}
        self._values = values
        self._running: tuple[str, ...] = ()

    def compile(self, tables: Mapping[str, Node], root: Node) -> tuple[StepRecipe, ...]:
        """The steps that run, in the order of the catalogue."""
        station = tables.get(self._station, Node({}, root.file, root.line))
        nodes = self._values.table(station, self._station, self._specs, root)
        running = {name: nodes[name] for name in self._specs if name in nodes and not self._skipped(name, nodes[name])}
        for name in (name for name, spec in self._specs.items() if spec.mandatory and name not in nodes):
            example = f'[[{self._station}.step]] with run = "{name}"'
            self._values.findings.add(root, f"{self._station}.{name}", f"mandatory step missing; add {example}")
        self._running = tuple(running)
        return tuple(self._step(self._specs[name], node) for name, node in running.items())

    def _skipped(self, name: str, node: Node) -> bool:
        skip = node.value.get("skip")
        if skip is None or skip.value is False:
            return False
        key = f"{self._station}.{name}.skip"
        if skip.value is not True:
            self._values.findings.add(skip, key, "neither true nor false; write skip = true or leave it out")
        elif self._specs[name].mandatory:
            self._values.findings.add(skip, key, "a mandatory step cannot be skipped; remove skip")
        return True

    def _step(self, spec: StepSpec, node: Node) -> StepRecipe:
        key = f"{self._station}.{spec.name}"
        entries = self._values.table(node, key, STEP_KEYS, node)
        max_s = self._parameter(entries.get("max_time"), f"{key}.max_time", ParamSpec(Kind.QUANTITY, "s"), node)
        limit_nodes = self._values.table(entries.get("limits"), f"{key}.limits", spec.measures, node)
        limits = {
            name: self._limit(limit_nodes.get(name), f"{key}.limits.{name}", measure, entries.get("limits", node))
            for name, measure in spec.measures.items()
        }
        param_nodes = self._values.table(entries.get("params"), f"{key}.params", spec.params, node)
        params = {
            name: self._parameter(param_nodes.get(name), f"{key}.params.{name}", param, entries.get("params", node))
            for name, param in spec.params.items()
        }
        self._check_order(spec, params, param_nodes, key)
        return StepRecipe(
            run=spec.name,
            mandatory=spec.mandatory,
            max_s=Second(max_s if isinstance(max_s, float) else 0.0),
            limits={name: limit for name, limit in limits.items() if limit is not None},
            params={name: value for name, value in params.items() if value is not None},
        )

    def _limit(self, node: Node | None, key: str, measure: MeasureSpec, parent: Node) -> Limit | None:
        if node is None:
            stated = ", ".join(f"{bound} = …" for bound in measure.needs.value)
            self._values.missing(parent, key, f'limits.{key.rpartition(".")[2]} = {{ {stated}, why = "…" }}')
            return None
        entries = self._values.table(node, key, LIMIT_KEYS, parent)
        why = self._values.reason(entries["why"], f"{key}.why") if "why" in entries else None
        for name in (name for name in (*measure.needs.value, "why") if name not in entries):
            self._values.missing(node, f"{key}.{name}", f"{name} = …")
        bounds = {bound: self._bound(entries.get(bound), f"{key}.{bound}", measure, why) for bound in ("low", "high")}
        low, high = bounds["low"], bounds["high"]
        if low is not None and high is not None and low > high:
            self._values.findings.add(entries["low"], key, f"inverted, low {low:g} is above high {high:g}; swap them")
        guard = entries.get("guard")
        if guard is not None and guard.value != "u95":
            what = 'no such guard band; write guard = "u95" or leave it out'
            self._values.findings.add(guard, f"{key}.guard", what)
        return Limit(low, high, measure.unit, guard is not None, why or "")

    def _bound(self, node: Node | None, key: str, measure: MeasureSpec, why: str | None) -> float | None:
        if node is None:
            return None
        if measure.unit is not None:
            return self._values.quantity(node, key, measure.unit, why or "")
        count = self._values.count(node, key, why=why or "")
        return None if count is None else float(count)

    def _parameter(self, node: Node | None, key: str, spec: ParamSpec, parent: Node) -> Parameter | None:
        values = self._values
        if node is None:
            example = f'"1 {spec.unit}"' if spec.kind is Kind.QUANTITY else "…"
            values.missing(parent, key, f"{key.rpartition('.')[2]} = {example}")
            return None
        if spec.kind is Kind.COUNT:
            return values.count(node, key, least=1)
        if spec.kind is Kind.TEXT:
            return values.text(node, key)
        if spec.kind is Kind.PATTERN:
            return values.pattern(node, key, spec.names)
        if spec.kind is Kind.STEP_TABLE:
            return self._step_table(node, key, spec.key_pattern)
        quantity = values.quantity(node, key, spec.unit)
        if quantity is not None and quantity < 0.0 and not spec.signed:
            values.findings.add(node, key, "negative; give its magnitude")
        return quantity

    def _step_table(self, node: Node, key: str, key_pattern: str) -> Mapping[str, str] | None:
        return self._values.named(node, key, key_pattern, self._running)

    def _check_order(
        self, spec: StepSpec, params: Mapping[str, Parameter | None], nodes: Mapping[str, Node], key: str
    ) -> None:
        for lower, upper in spec.ordered:
            low, high = params[lower], params[upper]
            if isinstance(low, float) and isinstance(high, float) and low >= high:
                what = f"inverted, not below {upper}; swap them"
                self._values.findings.add(nodes[lower], f"{key}.params.{lower}", what)
