"""A compiled recipe: what one pack type is tested by, resolved to numbers in units without prefix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple

from bmsctl.domain.canonical import canonical_json, sha256_hex
from bmsctl.domain.limits import Limit
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.units import Second, Volt

STACKING, EOL = "stacking", "eol"
STATIONS = (STACKING, EOL)
"""Where packs are built and tested, in the order in which they come there."""
SELFTEST = "selftest"
"""What stands in place of a station's name in the recipe by which a station tests itself."""

Parameter = float | int | str | Mapping[str, str] | tuple[str, ...]


class Origin(NamedTuple):
    """Where a value came from: file, line, the text as written there, and the reason given."""

    file: str
    line: int
    text: str
    why: str


@dataclass(frozen=True)
class StepRecipe:
    """Limits and parameters of one step; `max_s` is the time after which it counts as hung."""

    run: str
    mandatory: bool
    max_s: Second
    limits: Mapping[str, Limit]
    params: Mapping[str, Parameter]

    def limit(self, name: str) -> Limit:
        """The limit of a measurement, or that of the same measurement of every part."""
        return self.limits.get(name) or next(self.limits[each] for each in self.limits if each.startswith(f"{name}["))

    def quantity(self, name: str) -> float:
        """A parameter with a unit, in that unit without prefix."""
        value = self.params[name]
        assert isinstance(value, float), f"{self.run}.{name} is no quantity"
        return value

    def count(self, name: str) -> int:
        """A parameter that counts something."""
        value = self.params[name]
        assert isinstance(value, int), f"{self.run}.{name} is no count"
        return value

    def text(self, name: str) -> str:
        """A parameter that is text."""
        value = self.params[name]
        assert isinstance(value, str), f"{self.run}.{name} is no text"
        return value

    def names(self, name: str) -> tuple[str, ...]:
        """A parameter that is a list of names."""
        value = self.params[name]
        assert isinstance(value, tuple), f"{self.run}.{name} is no list of names"
        return value

    def table(self, name: str) -> Mapping[str, str]:
        """A parameter that is a table of text."""
        value = self.params[name]
        assert isinstance(value, Mapping), f"{self.run}.{name} is no table"
        return value


@dataclass(frozen=True)
class Recipe:
    """A pack type's recipe, or a self-test's; two recipes with the same `sha256` judge alike.

    `provenance` tells where each value came from (keys such as `eol.precharge.limits.end_ratio.low`); it is
    empty in a recipe read back from JSON, and neither compared nor hashed.
    """

    id: str
    revision: str
    sha256: str
    pack: PackSpec
    stacking: tuple[StepRecipe, ...]
    eol: tuple[StepRecipe, ...]
    selftest: tuple[StepRecipe, ...] = ()
    provenance: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        revision: str,
        pack: PackSpec,
        steps: Mapping[str, Sequence[StepRecipe]],
        provenance: Mapping[str, Origin],
    ) -> Recipe:
        """The recipe with its hash computed; `steps` by station."""
        stacking, eol, selftest = (tuple(steps.get(station, ())) for station in (*STATIONS, SELFTEST))
        sha256 = _hash(_content(pack.id, revision, pack, stacking, eol, selftest))
        return cls(pack.id, revision, sha256, pack, stacking, eol, selftest, provenance)

    def steps(self, station: str) -> tuple[StepRecipe, ...]:
        """The steps of a station in the order they run.

        Raises:
            LookupError: no such station.
        """
        return {STACKING: self.stacking, EOL: self.eol, SELFTEST: self.selftest}[station]

    def to_json(self) -> Mapping[str, Any]:
        """Everything but the provenance as a JSON object, made once and not to be changed."""
        return self._json

    @cached_property
    def _json(self) -> Mapping[str, Any]:
        content = _content(self.id, self.revision, self.pack, self.stacking, self.eol, self.selftest)
        return {**content, "sha256": self.sha256}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote.

        Raises:
            ValueError: not a recipe, or changed since it was hashed.
        """
        try:
            content = {key: value for key, value in values.items() if key != "sha256"}
            if _hash(content) != values["sha256"]:
                raise ValueError("the content does not match its sha256")
            return cls(
                id=str(values["id"]),
                revision=str(values["revision"]),
                sha256=str(values["sha256"]),
                pack=_pack(values["pack"]),
                stacking=tuple(_step(step) for step in values["stacking"]),
                eol=tuple(_step(step) for step in values["eol"]),
                selftest=tuple(_step(step) for step in values.get(SELFTEST, ())),
            )
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"not a recipe: {type(error).__name__}: {error}") from error


def _hash(content: Mapping[str, Any]) -> str:
    return sha256_hex(canonical_json(content).encode())


def _content(
    recipe_id: str,
    revision: str,
    pack: PackSpec,
    stacking: Sequence[StepRecipe],
    eol: Sequence[StepRecipe],
    selftest: Sequence[StepRecipe],
) -> dict[str, Any]:
    """What is hashed. A pack's recipe has no key for the self-test, which no pack sees."""
    effective_from = None if pack.effective_from is None else pack.effective_from.isoformat()
    content: dict[str, Any] = {
        "id": recipe_id,
        "revision": revision,
        "pack": {**asdict(pack), "effective_from": effective_from},
        "stacking": [_step_json(step) for step in stacking],
        "eol": [_step_json(step) for step in eol],
    }
    if selftest:
        content[SELFTEST] = [_step_json(step) for step in selftest]
    return content


def _step_json(step: StepRecipe) -> dict[str, Any]:
    return {
        "run": step.run,
        "mandatory": step.mandatory,
        "max_s": step.max_s,
        "limits": {name: _limit_json(limit) for name, limit in step.limits.items()},
        "params": {name: _own(value) for name, value in step.params.items()},
    }


def _own(value: Parameter) -> float | str | dict[str, str] | list[str]:
    """The value as JSON has it, a table as a copy, so that nobody's change to the JSON changes the recipe."""
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _limit_json(limit: Limit) -> dict[str, Any]:
    return {"low": limit.low, "high": limit.high, "unit": limit.unit, "guard": limit.guard, "why": limit.why}


def _pack(values: Mapping[str, Any]) -> PackSpec:
    effective_from, message_set = values["effective_from"], values.get("message_set")
    return PackSpec(
        id=str(values["id"]),
        part_number=str(values["part_number"]),
        series=_whole(values["series"]),
        parallel=_whole(values["parallel"]),
        modules=_whole(values["modules"]),
        u_max=Volt(_number(values["u_max"])),
        u_nom=Volt(_number(values["u_nom"])),
        effective_from=None if effective_from is None else date.fromisoformat(effective_from),
        sensors_per_module=_whole(values.get("sensors_per_module", 0)),
        message_set=None if message_set is None else str(message_set),
    )


def _step(values: Mapping[str, Any]) -> StepRecipe:
    return StepRecipe(
        run=str(values["run"]),
        mandatory=values["mandatory"] is True,
        max_s=Second(_number(values["max_s"])),
        limits={name: _limit(limit) for name, limit in values["limits"].items()},
        params={name: tuple(value) if isinstance(value, list) else value for name, value in values["params"].items()},
    )


def _limit(values: Mapping[str, Any]) -> Limit:
    low, high, unit = values["low"], values["high"], values["unit"]
    return Limit(
        low=None if low is None else _number(low),
        high=None if high is None else _number(high),
        unit=None if unit is None else str(unit),
        guard=values["guard"] is True,
        why=str(values["why"]),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value
