"""What is wrong with pack and station in one run: the scenario file, checked against tables of kinds.

Only a world reads it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bmsctl.domain.recipe_compiler_values import shown
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
    """Something wrong with the pack; `place` names file and table, for messages."""

    place: str
    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong in the station, `after_s` from the start of `step`, for `lasts_s`."""

    place: str
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


def quantity(unit: str, *, negative: bool = True) -> Parse:
    """A string `number unit`; `negative`: whether it may be."""

    def parse(value: Any) -> float:
        if not isinstance(value, str):
            raise ValueError(f'must be a string with a unit, like "1 {unit}"')
        number = parse_quantity(value, unit)
        if number < 0.0 and not negative:
            raise ValueError("must not be negative")
        return number

    return parse


def choice(*allowed: str) -> Parse:
    """One of some words."""

    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return parse


def text(length: int) -> Parse:
    """A string of printable ASCII, not empty, at most `length` long."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not (value.isascii() and value.isprintable() and 0 < len(value) <= length):
            raise ValueError(f"must be a string of 1 to {length} printable ASCII characters")
        return value

    return parse


def factor(value: Any) -> float:
    """A bare number that multiplies a good value."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e6 < value < 1e6:
        raise ValueError("must be a number without unit, like 1.5")
    return float(value)


def flag(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def index_or_name(value: Any) -> int | str:
    """A number counted from 1, or a name of the recipe."""
    if isinstance(value, str) and value.strip():
        return value
    return index(value)


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
    except ValueError as error:
        raise ScenarioError(f"{file}: not TOML: {error}") from None
    except RecursionError:
        raise ScenarioError(f"{file}: nested too deeply; a scenario is [[defect]] and [[fault]] tables") from None
    unknown = sorted(document.keys() - {"defect", "fault"})
    if unknown:
        raise ScenarioError(f"{file}: unknown key {unknown[0]!r}; only [[defect]] and [[fault]] tables are allowed")
    fault_parameters = {
        "target": Parameter(choice(*targets), required=False),
        "step": Parameter(choice(*steps)),
        "after": Parameter(quantity("s", negative=False), required=False),
        "lasts": Parameter(quantity("s", negative=False), required=False),
    }
    read_defects = []
    for number, table in _tables(document, "defect", file):
        kind = _kind(table, defects, number)
        place = f"{number} ({kind})"
        read_defects.append(Defect(place, kind, _parameters(table, defects[kind], place)))
    read_faults = []
    for number, table in _tables(document, "fault", file):
        kind = faults[_kind(table, faults, number)]
        place = f"{number} ({kind})"
        given = _parameters(table, fault_parameters, place)
        after_s, lasts_s = given.get("after", 0.0), given.get("lasts")
        read_faults.append(Fault(place, kind, given.get("target"), given["step"], after_s, lasts_s))
    return Scenario(tuple(read_defects), tuple(read_faults))


def _tables(document: Mapping[str, Any], key: str, file: str) -> list[tuple[str, Mapping[str, Any]]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ScenarioError(f"{file}: {key} must be an array of tables; write [[{key}]]")
    return [(f"{file}: {key} {number}", table) for number, table in enumerate(tables, 1)]


def _kind(table: Mapping[str, Any], known: Mapping[str, Any], place: str) -> str:
    kind = table.get("kind")
    if kind is None:
        raise ScenarioError(f"{place}: parameter 'kind' is missing; known: {', '.join(sorted(known))}")
    if not isinstance(kind, str) or kind not in known:
        raise ScenarioError(f"{place}: unknown kind {shown(kind)}; known: {', '.join(sorted(known))}")
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
                raise ScenarioError(f"{place}: {name} = {shown(table[name])}: {error}") from None
        elif parameter.required:
            raise ScenarioError(f"{place}: parameter {name!r} is missing")
    return given
