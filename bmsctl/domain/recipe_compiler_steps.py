"""The steps of a recipe checked against the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from bmsctl.domain.limits import Limit
from bmsctl.domain.recipe import Parameter, StepRecipe
from bmsctl.domain.recipe_compiler_sources import Node
from bmsctl.domain.recipe_compiler_values import Values
from bmsctl.domain.steps import Kind, MeasureSpec, ParamSpec, StepSpec, of_part
from bmsctl.domain.units import Second

STEP_KEYS = ("run", "skip", "max_time", "limits", "params")
LIMIT_KEYS = ("low", "high", "guard", "why")
MAX_TIME = ParamSpec(Kind.QUANTITY, "s")


class StationCompiler:
    """Compiles the steps of one station."""

    def __init__(self, station: str, specs: tuple[StepSpec, ...], values: Values) -> None:
        self._station = station
        self._specs = {spec.name: spec for spec in specs}
        self._values = values
        self._running: tuple[str, ...] = ()

    def compile(self, tables: Mapping[str, Node], root: Node) -> tuple[StepRecipe, ...]:
        """The steps that run, in the order of the catalogue."""
        station = tables.get(self._station, Node({}, root.file, root.line))
        nodes = self._values.table(station, self._station, self._specs, what="step")
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
        else:
            return True
        return False

    def _step(self, spec: StepSpec, node: Node) -> StepRecipe:
        key = f"{self._station}.{spec.name}"
        entries = self._values.table(node, key, STEP_KEYS)
        max_s = self._parameter(entries.get("max_time"), f"{key}.max_time", MAX_TIME, node)
        if max_s == 0.0:
            self._values.findings.add(entries["max_time"], f"{key}.max_time", "zero; give the step some time")
        param_nodes = self._values.table(entries.get("params"), f"{key}.params", spec.params)
        params = {
            name: self._parameter(param_nodes.get(name), f"{key}.params.{name}", param, entries.get("params", node))
            for name, param in spec.params.items()
        }
        self._check_order(spec, params, param_nodes, key)
        limits: dict[str, Limit | None] = {}
        limit_nodes = self._values.table(entries.get("limits"), f"{key}.limits", spec.measures)
        for name, measure in spec.measures.items():
            limit = self._limit(limit_nodes.get(name), f"{key}.limits.{name}", measure, entries.get("limits", node))
            limits |= dict.fromkeys(_names(name, measure, params), limit)
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
        entries = self._values.table(node, key, LIMIT_KEYS)
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
        if spec.kind is Kind.NAMES:
            return values.names(node, key)
        if spec.kind is Kind.TABLE:
            return values.texts(node, key)
        if spec.kind is Kind.STEP_TABLE:
            return values.choices(node, key, spec.key_pattern, self._running)
        quantity = values.quantity(node, key, spec.unit)
        if quantity is not None and quantity < 0.0 and not spec.signed:
            values.findings.add(node, key, "negative; give its magnitude")
        return quantity

    def _check_order(
        self, spec: StepSpec, params: Mapping[str, Parameter | None], nodes: Mapping[str, Node], key: str
    ) -> None:
        for lower, upper in spec.ordered:
            low, high = params[lower], params[upper]
            if isinstance(low, float) and isinstance(high, float) and low >= high:
                what = f"inverted, not below {upper}; swap them"
                self._values.findings.add(nodes[lower], f"{key}.params.{lower}", what)


def _names(name: str, measure: MeasureSpec, params: Mapping[str, Parameter | None]) -> list[str]:
    """What the measurements of a limit are called: one, or one for each part."""
    if not measure.each:
        return [name]
    parts = params[measure.each]
    return [of_part(name, part) for part in parts] if isinstance(parts, tuple | Mapping) else []
