"""What is wrong with pack and station in one run: the scenario file, checked against tables of kinds.

Only a world reads it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bmsctl.domain.units import parse_quantity
from bmsctl.errors import ScenarioError

Parse = Callable[[Any], Any]


@dataclass(frozen=True)
class Parameter:
    """How one parameter is read; `parse` raises ValueError with what is wrong."""

    parse: Parse
    required: bool = True


@dataclass(frozen=True)
class Defect:
    """Something wrong with the pack."""

    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong in the station, `after_s` from the start of `step`, for `lasts_s`."""

    kind: str
    target: str | None
    step: str
    after_s: float
    lasts_s: float | None


@dataclass(frozen=True)
class Scenario:
    """All defects and faults of a run, in the order written."""

    defects: tuple[Defect, ...] = ()
    faults: tuple[Fault, ...] = ()


def quantity(unit: str) -> Parse:
    """A string `number unit`."""

    def parse(value: Any) -> float:
        if not isinstance(value, str):
            raise ValueError(f'must be a string with a unit, like "1 {unit}"')
        return parse_quantity(value, unit)

    return parse


def choice(*allowed: str) -> Parse:
    """One of some words."""

    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return parse


def text(value: Any) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a non-empty string")
    return value


def index(value: Any) -> int:
    """A number counted from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number counted from 1")
    return value


def read_scenario(
    source: str,
    file: str,
    defects: Mapping[str, Mapping[str, Parameter]],
    faults: Mapping[str, str],
    targets: tuple[str, ...],
    steps: tuple[str, ...],
) -> Scenario:
    """Parse TOML text.

    Args:
        defects: kinds and their parameters.
        faults: names and catalogue ids of fault kinds, each mapped to its name.

    Raises:
        ScenarioError: not TOML, an unknown kind or parameter, or one missing; says which table and what is allowed.
    """
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{file}: not TOML: {error}") from None
    unknown = sorted(document.keys() - {"defect", "fault"})
    if unknown:
        raise ScenarioError(f"{file}: unknown key {unknown[0]!r}; only [[defect]] and [[fault]] tables are allowed")
    fault_parameters = {
        "target": Parameter(choice(*targets), required=False),
        "step": Parameter(choice(*steps)),
        "after": Parameter(quantity("s"), required=False),
        "lasts": Parameter(quantity("s"), required=False),
    }
    read_defects = []
    for place, table in _tables(document, "defect", file):
        kind = _kind(table, defects, place)
        read_defects.append(Defect(kind, _parameters(table, defects[kind], f"{place} ({kind})")))
    read_faults = []
    for place, table in _tables(document, "fault", file):
        kind = faults[_kind(table, faults, place)]
        given = _parameters(table, fault_parameters, f"{place} ({kind})")
        read_faults.append(Fault(kind, given.get("target"), given["step"], given.get("after", 0.0), given.get("lasts")))
    return Scenario(tuple(read_defects), tuple(read_faults))


def _tables(document: Mapping[str, Any], key: str, file: str) -> list[tuple[str, Mapping[str, Any]]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ScenarioError(f"{file}: {key} must be an array of tables; write [[{key}]]")
    return [(f"{file}: {key} {number}", table) for number, table in enumerate(tables, 1)]


def _kind(table: Mapping[str, Any], known: Mapping[str, Any], place: str) -> str:
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in known:
        raise ScenarioError(f"{place}: unknown kind {kind!r}; known: {', '.join(sorted(known))}")
    return kind


def _parameters(table: Mapping[str, Any], known: Mapping[str, Parameter], place: str) -> dict[str, Any]:
    for name in table:
        if name != "kind" and name not in known:
            raise ScenarioError(f"{place}: unknown parameter {name!r}; known: {', '.join(sorted(known)) or 'none'}")
    given: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in table:
            try:
                given[name] = parameter.parse(table[name])
            except ValueError as error:
                raise ScenarioError(f"{place}: {name} = {table[name]!r}: {error}") from None
        elif parameter.required:
            raise ScenarioError(f"{place}: parameter {name!r} is missing")
    return given
