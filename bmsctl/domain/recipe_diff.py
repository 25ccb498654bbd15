"""What changed between two recipes, as an engineer says it: which limit, by how much, tighter or looser.

A change is *tighter* if it can only make more packs fail, *looser* if it can only let more pass, *neither* if that
cannot be told from the recipes: a parameter of a measurement, a part number, a reason. A limit that holds for each of
many parts is one change, and so is a table or list of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from bmsctl.domain.amounts import amount, amounts, plain
from bmsctl.domain.limits import Limit
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.recipe import STATIONS, Origin, Parameter, Recipe, StepRecipe
from bmsctl.domain.steps import CATALOGUE

BOM = (
    "part_number",
    "bms_part_number",
    "hardware",
    "software",
    "software_version",
    "calibration",
    "image",
    "image_sha256",
)
"""Parameters that name parts and software."""
PACK_KEYS = {
    "part_number": "pack.part_number",
    "series": "pack.topology.series",
    "parallel": "pack.topology.parallel",
    "modules": "pack.topology.modules",
    "u_max": "pack.max_working_voltage",
    "u_nom": "pack.nominal_voltage",
    "effective_from": "pack.effective_from",
    "sensors_per_module": "pack.sensors_per_module",
    "message_set": "pack.message_set",
}
"""Fields of a pack and the keys that recipes give them under."""
VOLTAGES = ("u_max", "u_nom")
ALL_PARTS = "*"

_PART = re.compile(r"\[[^\]]*\]")


class Effect(StrEnum):
    """What a change does to the verdicts."""

    TIGHTER = "tighter"
    LOOSER = "looser"
    NEITHER = "neither"


class What(StrEnum):
    """What was changed."""

    PACK = "pack"
    EFFECTIVITY = "effectivity"
    STEP = "step"
    LIMIT = "limit"
    GUARD = "guard"
    REASON = "reason"
    PARAMETER = "parameter"
    BOM = "bill of materials"


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `key` as a recipe's provenance has it; `old`, `new` with their unit, None: not there.

    `text` says it for people. `origin` is where the new value is written, or the old one where there is no new one;
    None in a recipe that was read back from a record.
    """

    key: str
    what: What
    old: str | None
    new: str | None
    effect: Effect
    text: str
    origin: Origin | None = None


def compare(old: Recipe, new: Recipe) -> list[Change]:
    """All changes from one recipe to another, first the pack, then in the order in which the steps run."""
    changes = [*_pack_changes(old, new)]
    for station in STATIONS:
        before, after = ({step.run: step for step in recipe.steps(station)} for recipe in (old, new))
        for run in (spec.name for spec in CATALOGUE[station]):
            changes += _step_changes(f"{station}.{run}", before.get(run), after.get(run))
    return [_located(change, old, new) for change in changes]


def _pack_changes(old: Recipe, new: Recipe) -> Iterator[Change]:
    if old.id != new.id:
        yield _changed("pack.id", What.PACK, old.id, new.id)
    if old.revision != new.revision:
        yield _changed("pack.revision", What.PACK, old.revision, new.revision)
    for name, key in PACK_KEYS.items():
        what = What.EFFECTIVITY if name == "effective_from" else What.BOM if name == "part_number" else What.PACK
        before, after = (_pack_value(recipe.pack, name) for recipe in (old, new))
        if before != after:
            yield _changed(key, what, before, after)


def _pack_value(pack: PackSpec, name: str) -> str | None:
    value = getattr(pack, name)
    if value is None:
        return "from the beginning" if name == "effective_from" else None
    return amount(value, "V") if name in VOLTAGES else str(value)


def _step_changes(key: str, old: StepRecipe | None, new: StepRecipe | None) -> Iterator[Change]:
    if old is None and new is None:
        return
    run = key.rpartition(".")[2]
    if old is None:
        yield Change(key, What.STEP, None, run, Effect.TIGHTER, f"{run}: added; it was not run before: tighter")
        return
    if new is None:
        yield Change(
            key, What.STEP, run, None, Effect.LOOSER, f"{run}: removed or skipped; it is no longer run: looser"
        )
        return
    if old.max_s != new.max_s:
        yield _changed(f"{key}.max_time", What.PARAMETER, amount(old.max_s, "s"), amount(new.max_s, "s"))
    if old.mandatory != new.mandatory:
        was, is_ = ("mandatory" if one.mandatory else "optional" for one in (old, new))
        yield _changed(f"{key}.mandatory", What.STEP, was, is_)
    apart = _apart(old.limits) | _apart(new.limits)
    yield from _limit_changes(f"{key}.limits", _folded(old.limits, apart), _folded(new.limits, apart))
    units = {spec.name: spec.params for spec in CATALOGUE[key.partition(".")[0]]}.get(run, {})
    for name in dict.fromkeys((*old.params, *new.params)):
        before, after = old.params.get(name), new.params.get(name)
        if before != after:
            unit = units[name].unit if name in units else ""
            yield _parameter_change(f"{key}.params.{name}", name, before, after, unit)


def _apart(limits: Mapping[str, Limit]) -> set[str]:
    """Measurements that have not the same limit for each part."""
    of_parts: dict[str, set[Limit]] = {}
    for name, limit in limits.items():
        of_parts.setdefault(name.partition("[")[0], set()).add(limit)
    return {name for name, its in of_parts.items() if len(its) > 1}


def _folded(limits: Mapping[str, Limit], apart: set[str]) -> Mapping[str, Limit]:
    """The limits, those of all parts as one but for the measurements in `apart`."""
    folded = {}
    for name, limit in limits.items():
        measurement, bracket, _ = name.partition("[")
        folded[f"{measurement}[{ALL_PARTS}]" if bracket and measurement not in apart else name] = limit
    return folded


def _limit_changes(key: str, old: Mapping[str, Limit], new: Mapping[str, Limit]) -> Iterator[Change]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        at = f"{key}.{name}"
        if before is None or after is None:
            was, is_ = (None if limit is None else _whole(limit) for limit in (before, after))
            effect, said = (Effect.TIGHTER, "also judged") if was is None else (Effect.LOOSER, "no longer judged")
            yield Change(at, What.LIMIT, was, is_, effect, f"{_said(at)}: {said}, {is_ or was}: {effect}")
        elif before != after:
            yield from _bound_changes(at, before, after)


def _bound_changes(key: str, old: Limit, new: Limit) -> Iterator[Change]:
    for bound, sign in (("low", 1.0), ("high", -1.0)):
        before, after = getattr(old, bound), getattr(new, bound)
        if before != after or (old.unit != new.unit and before is not None):
            yield _bound_change(f"{key}.{bound}", old, new, before, after, sign)
    if old.guard != new.guard:
        effect = Effect.TIGHTER if new.guard else Effect.LOOSER
        before, after = ("u95" if limit.guard else None for limit in (old, new))
        said = "on: the pack must meet the limit in spite of the uncertainty" if new.guard else "off"
        yield Change(f"{key}.guard", What.GUARD, before, after, effect, f"{_said(key)} guard band {said}: {effect}")
    if old.why != new.why:
        yield _changed(f"{key}.why", What.REASON, old.why, new.why)


def _bound_change(key: str, old: Limit, new: Limit, before: float | None, after: float | None, sign: float) -> Change:
    was, is_ = amounts((before, after), (old.unit, new.unit))
    if old.unit != new.unit:
        effect, by = Effect.NEITHER, "another unit"
    elif before is None or after is None:
        effect = Effect.TIGHTER if before is None else Effect.LOOSER
        by = f"{effect}, there was none before" if before is None else f"{effect}, there is none any more"
    else:
        effect = Effect.TIGHTER if (after - before) * sign > 0.0 else Effect.LOOSER
        by = f"{_by(before, after, new.unit)}{effect}"
    return Change(key, What.LIMIT, was, is_, effect, f"{_said(key)} {_arrow(was, is_)}: {by}")


def _by(old: float, new: float, unit: str | None) -> str:
    """By how much a limit has moved, with a blank behind it; empty where that says nothing."""
    moved = abs(Decimal(repr(new)) - Decimal(repr(old)))
    if unit == "degC":
        return f"{plain(moved)} K "
    if unit == "%":
        return f"{plain(moved)} percentage point{'' if moved == 1 else 's'} "
    if unit is None:
        return f"{plain(moved)} "
    return f"{_share(abs((new - old) / old))} " if old else ""


def _share(share: float) -> str:
    """A share in per cent, to two digits or to one per cent."""
    percent = share * 100.0
    return f"{percent:.0f} %" if percent >= 10.0 else f"{percent:.2g} %"


def _parameter_change(key: str, name: str, old: Parameter | None, new: Parameter | None, unit: str) -> Change:
    what = What.BOM if name in BOM else What.PARAMETER
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        entries = [
            f"{entry} {_arrow(old.get(entry), new.get(entry))}"
            for entry in dict.fromkeys((*old, *new))
            if old.get(entry) != new.get(entry)
        ]
        text = f"{_said(key)}: {'; '.join(entries)}"
        return Change(key, what, _shown(old, unit), _shown(new, unit), Effect.NEITHER, text)
    if isinstance(old, tuple) and isinstance(new, tuple):
        text = f"{_said(key)}: {_list_change(old, new)}"
        return Change(key, what, _shown(old, unit), _shown(new, unit), Effect.NEITHER, text)
    if isinstance(old, float) and isinstance(new, float):
        before, after = amounts((old, new), (unit, unit))
        return _changed(key, what, before, after)
    return _changed(key, what, _shown(old, unit), _shown(new, unit))


def _list_change(old: Sequence[str], new: Sequence[str]) -> str:
    gone, come = ([name for name in one if name not in other] for one, other in ((old, new), (new, old)))
    said = [f"without {', '.join(gone)}"] if gone else []
    said += [f"with {', '.join(come)}"] if come else []
    if [name for name in old if name in new] != [name for name in new if name in old]:
        said.append("in another order")
    return "; ".join(said)


def _shown(value: Parameter | None, unit: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return amount(value, unit)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {text}" for name, text in value.items())
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _changed(key: str, what: What, old: str | None, new: str | None) -> Change:
    return Change(key, what, old, new, Effect.NEITHER, f"{_said(key)} {_arrow(old, new)}")


def _arrow(old: str | None, new: str | None) -> str:
    """Old and new for people; a unit that both have is said once."""
    if old is not None and new is not None:
        number, blank, unit = old.partition(" ")
        if blank and new.partition(" ")[2] == unit and _is_number(number) and _is_number(new.partition(" ")[0]):
            return f"{number} -> {new}"
    return f"{'none' if old is None else old} -> {'none' if new is None else new}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _said(key: str) -> str:
    """A key as people say it: the step, and what of it."""
    station, _, rest = key.partition(".")
    if station not in STATIONS:
        return key
    for table in (".limits.", ".params."):
        rest = rest.replace(table, ".", 1)
    head, _, bound = rest.rpartition(".")
    return f"{head} {bound}" if bound in ("low", "high", "why") and head.count(".") else rest


def _whole(limit: Limit) -> str:
    low, high = amounts((limit.low, limit.high), (limit.unit, limit.unit))
    bounds = [f"{name} {text}" for name, text in (("low", low), ("high", high)) if text is not None]
    return ", ".join(bounds) + (", guarded" if limit.guard else "")


def _located(change: Change, old: Recipe, new: Recipe) -> Change:
    """The change with the place of its new value, or of its old one if there is no new one."""
    origins = old.provenance if change.new is None else new.provenance
    key = _PART.sub("", change.key)
    limit, _, aspect = key.rpartition(".")
    stems = (key, limit) if aspect in ("guard", "why") else (key,)
    places = (origin for stem in stems for name, origin in origins.items() if f"{name}.".startswith(f"{stem}."))
    return replace(change, origin=next(places, None))
