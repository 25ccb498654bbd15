"""How the step catalogue is written: what a step measures, what it needs to be told, and which gates it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum


class Gate(Enum):
    """What a step that did not PASS keeps others from doing."""

    RUN = "run"
    """Anything at all: the pack is not the one on the label, or not safe to touch."""
    HIGH_VOLTAGE = "high_voltage"
    """Closing a contactor, or applying a test voltage."""
    CURRENT = "current"
    """Letting current flow through the cells."""


@dataclass(frozen=True, slots=True)
class GateRule:
    """`needs`: gates that must be open for the step to run; `blocks`: gates it shuts unless it passes."""

    needs: tuple[Gate, ...] = ()
    blocks: tuple[Gate, ...] = ()


class Needs(Enum):
    """Which limits a recipe must state; the other one may be stated too."""

    LOW = ("low",)
    HIGH = ("high",)
    BOTH = ("low", "high")


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """One measurement of a step."""

    unit: str | None
    needs: Needs
    each: str = ""
    """The parameter that names parts: there is one measurement for each, called `name[part]`; empty: just one."""


class Kind(StrEnum):
    """What a parameter is."""

    QUANTITY = "quantity"
    COUNT = "count"
    TEXT = "text"
    PATTERN = "pattern"
    """A regular expression; `names` are the groups it must have."""
    NAMES = "names"
    """A list of different texts, at least one."""
    STEP_TABLE = "step table"
    """Keys that match `key_pattern`, each with the name of a step of the same station."""
    TABLE = "table"
    """Names, each with a text."""


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One parameter of a step; a quantity is not negative unless `signed`."""

    kind: Kind
    unit: str = ""
    signed: bool = False
    names: tuple[str, ...] = ()
    key_pattern: str = ""


@dataclass(frozen=True)
class StepSpec:
    """One step. `ordered`: pairs of parameters of which the first must be less than the second."""

    name: str
    measures: Mapping[str, MeasureSpec]
    params: Mapping[str, ParamSpec] = field(default_factory=dict)
    gate: GateRule = GateRule()
    mandatory: bool = True
    ordered: tuple[tuple[str, str], ...] = ()


Catalogue = Mapping[str, tuple[StepSpec, ...]]


def low(unit: str | None) -> MeasureSpec:
    """A measurement that must not be too low."""
    return MeasureSpec(unit, Needs.LOW)


def high(unit: str | None) -> MeasureSpec:
    """A measurement that must not be too high."""
    return MeasureSpec(unit, Needs.HIGH)


def both(unit: str | None) -> MeasureSpec:
    """A measurement between two limits."""
    return MeasureSpec(unit, Needs.BOTH)


def each(parts: str, measure: MeasureSpec) -> MeasureSpec:
    """One such measurement for each part that the parameter `parts` names: a list of names, or a table by name."""
    return replace(measure, each=parts)


def of_part(name: str, part: str) -> str:
    """The name of a measurement that there is for each part."""
    return f"{name}[{part}]"


def quantity(unit: str) -> ParamSpec:
    """A parameter with a unit."""
    return ParamSpec(Kind.QUANTITY, unit)


COUNT = ParamSpec(Kind.COUNT)
TEXT = ParamSpec(Kind.TEXT)
NAMES = ParamSpec(Kind.NAMES)
TABLE = ParamSpec(Kind.TABLE)
PRECHARGES = {"precharges_max": COUNT, "precharges_within": quantity("s")}
"""How often within which time the pack's precharge resistor may be used."""
