"""The parts of a record as people read them: what is in, what was taken out and why, how each bolt was tightened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bmsctl.domain.incoming import AGE
from bmsctl.domain.limits import Limit
from bmsctl.domain.parts import bolt_of, held_by, kind_of
from bmsctl.domain.quantities import quantity
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.steps import of_part
from bmsctl.report.families import worst
from bmsctl.report.part_results import Part

DAY_S = 86400.0
BOLT = "bolt"


class PartRow(NamedTuple):
    """A part, or several alike that nothing tells apart; texts are empty where there is nothing."""

    slot: str
    part_number: str
    serial: str
    lot: str
    incoming: str
    removed: str


class BoltRow(NamedTuple):
    """A bolt and its last tightening; `tightenings` tells of further ones."""

    bolt: str
    torque: str
    angle: str
    tightening: str
    removed: str


class BoltGroup(NamedTuple):
    """The bolts that hold one part.

    `worst_torque` and `worst_angle`: the nearest to a limit, and which bolt's. `n` are in, `renewed` were in before.
    """

    holds: str
    part_numbers: str
    n: int
    renewed: int
    worst_torque: str
    worst_angle: str
    rows: Sequence[BoltRow]


def bolt_number(bolt: str) -> int:
    """The number of a bolt among those that hold the same part."""
    return int(bolt.rpartition(".")[2].lstrip("c"))


def part_rows(genealogy: Iterable[Part]) -> list[PartRow]:
    """All parts but bolts, in the order installed; busbars of one part number in one row."""
    rows: list[PartRow] = []
    alike: dict[PartRow, list[str]] = {}
    for part in genealogy:
        if kind_of(part["slot"]) == BOLT:
            continue
        row = PartRow(
            slot=part["slot"],
            part_number=part["part_number"],
            serial=part["serial"] or "",
            lot=part["lot"] or "",
            incoming=incoming(part),
            removed=part["removed_reason"] or "",
        )
        kind, _, number = part["slot"].partition(" ")
        if number and not any(row[2:]):
            key = row._replace(slot=kind)
            if key not in alike:
                rows.append(key)
            alike.setdefault(key, []).append(number)
        else:
            rows.append(row)
    return [row._replace(slot=f"{row.slot} {', '.join(alike[row])}") if row in alike else row for row in rows]


def incoming(part: Part) -> str:
    """What was measured of a part before it came in; of many values the least and the greatest."""
    return "; ".join(_summary(each["name"], each["unit"], each["values"]) for each in part["incoming"])


def _summary(name: str, unit: str, values: Sequence[float | None]) -> str:
    label, known = name.replace("_", " "), [value for value in values if value is not None]
    if not known:
        return f"{label} unknown"
    if name == AGE:
        return f"age {known[0] / DAY_S:.3g} d"
    low, high = (quantity(value, unit) for value in (min(known), max(known)))
    if len(values) == 1:
        return f"{label} {low}"
    missing = f", {len(values) - len(known)} unknown" if len(known) < len(values) else ""
    return f"{label} {low} … {high} ({len(values)}{missing})"


def bolt_groups(genealogy: Iterable[Part], recipe: Recipe, station: str) -> list[BoltGroup]:
    """The bolts by the part they hold, each group's in the order of their numbers, taken out ones first.

    Args:
        recipe: the one the record was judged by, for the limits that make a tightening the worst.
    """
    by_held: dict[str, list[Part]] = {}
    for part in genealogy:
        if kind_of(part["slot"]) == BOLT:
            by_held.setdefault(held_by(bolt_of(part["slot"])), []).append(part)
    limits = {name: limit for step in recipe.steps(station) for name, limit in step.limits.items()}
    return [_group(holds, parts, limits) for holds, parts in by_held.items()]


def _group(holds: str, parts: Sequence[Part], limits: Mapping[str, Limit]) -> BoltGroup:
    ordered = sorted(parts, key=lambda part: bolt_number(bolt_of(part["slot"])))
    now = [part for part in ordered if part["removed_reason"] is None]
    numbers = sorted({part["part_number"] for part in now or ordered})
    worst_torque, worst_angle = (_worst(now, name, unit, limits) for name, unit in (("torque", "Nm"), ("angle", "deg")))
    rows = [_bolt_row(part) for part in ordered]
    return BoltGroup(holds, ", ".join(numbers), len(now), len(ordered) - len(now), worst_torque, worst_angle, rows)


def _worst(parts: Sequence[Part], name: str, unit: str, limits: Mapping[str, Limit]) -> str:
    """The value nearest to its limits, or farthest beyond them, of the bolts' last tightenings."""
    found = []
    for part in parts:
        bolt = bolt_of(part["slot"])
        limit = limits.get(of_part(name, bolt))
        for last in part["tightenings"][-1:]:
            bounds = {"low": limit and limit.low, "high": limit and limit.high}
            found.append({"name": bolt, "value": last[name], "verdict": "PASS", **bounds})
    if not found:
        return ""
    least = worst(found)
    return "no value" if least["value"] is None else f"{quantity(least['value'], unit)} ({least['name']})"


def _bolt_row(part: Part) -> BoltRow:
    torque, angle, tightening = "", "", "not tightened"
    for last in part["tightenings"][-1:]:
        torque, angle = _value(last["torque"], "Nm"), _value(last["angle"], "deg")
        tightening = tightening_text(last)
        if len(part["tightenings"]) > 1:
            before = ", ".join(str(each["tightening_id"]) for each in part["tightenings"][:-1])
            tightening = f"{tightening}; before it {before}"
    return BoltRow(bolt_of(part["slot"]), torque, angle, tightening, part["removed_reason"] or "")


def tightening_text(tightening: Mapping[str, Any]) -> str:
    """Which tightening it is on its controller, when, and whether that found it good."""
    number, at = tightening["tightening_id"], tightening["at"]
    return f"{number} at {at}, {'OK' if tightening['ok'] else 'NOK'}"


def _value(value: float | None, unit: str) -> str:
    return "no value" if value is None else quantity(value, unit)
