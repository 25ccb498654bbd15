"""A record in words: what was measured, against which limit, what is likely wrong, what to look at."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from bmsctl.domain.quantities import quantity
from bmsctl.domain.recipe import Origin, Recipe
from bmsctl.domain.steps import CATALOGUE
from bmsctl.report.families import base_and_part

STATION_CAUSE = "The station could not measure; this says nothing about the pack."
ABORTED_CAUSE = "The run was ended before its time; nothing speaks against the pack."
ABORTED_LOOK = "Test again, with the reason as the cause."
STATION_LOOK = "Put right what the reason names, then test again with that as the cause."


KINDS = {"bolts": "bolt ", "joints": "joint ", "connectors": "connector "}
"""What stands before a part's name, by the parameter that names such parts; slots say it themselves."""


class Finding(NamedTuple):
    """One thing that is not as it should be.

    `measured` and `limit` are sentences; `limit` is empty where nothing was judged.
    """

    step: str
    verdict: str
    measured: str
    limit: str
    cause: str
    look: str


@cache
def _advice() -> Mapping[str, Mapping[str, tuple[str, str]]]:
    """(cause, where to look) by step and measurement."""
    text = files("bmsctl.report").joinpath("advice.toml").read_text("utf-8")
    tables = tomllib.loads(text)
    return {step: {name: (cause, look) for name, (cause, look) in table.items()} for step, table in tables.items()}


def findings(record: Mapping[str, Any], recipe: Recipe, origins: Mapping[str, Origin]) -> Iterator[Finding]:
    """What is not PASS, in running order.

    Args:
        recipe: the one the record was judged by.
        origins: where its values came from; empty if its files are no longer there.
    """
    for step in record["steps"]:
        if step["verdict"] in (None, "PASS"):
            continue
        bad = [each for each in step["measurements"] if each["verdict"] == "FAIL"]
        for each in bad:
            yield _failed(record["station"], step, each, recipe, origins)
        if not bad:
            advice = _advice().get(step["name"], {})
            cause, look = advice.get("step", (STATION_CAUSE, STATION_LOOK))
            if step["measurements"] and all(each["verdict"] == "PASS" for each in step["measurements"]):
                cause, look = advice.get("measured", (cause, look))
            if step["verdict"] == "ABORTED":
                cause, look = ABORTED_CAUSE, ABORTED_LOOK
            yield Finding(step["name"], step["verdict"], step["reason"] or "nothing was measured", "", cause, look)


def skipped(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Steps that were not run, and why."""
    return [(step["name"], step["reason"]) for step in record["steps"] if step["verdict"] is None]


def _failed(
    station: str, step: Mapping[str, Any], each: Mapping[str, Any], recipe: Recipe, origins: Mapping[str, Origin]
) -> Finding:
    name, _ = base_and_part(each["name"])
    cause, look = _advice().get(step["name"], {}).get(name, (STATION_CAUSE, STATION_LOOK))
    measured = _measured(station, step["name"], each)
    return Finding(step["name"], "FAIL", measured, _limit(station, step["name"], each, recipe, origins), cause, look)


def _measured(station: str, step: str, each: Mapping[str, Any]) -> str:
    """`cell_deviation is 31 mV ± 1.5 mV (cell 17)`; of one part among many `bolt m2.3: torque is …, below 22.5 Nm`."""
    name, part = base_and_part(each["name"])
    uncertainty = f" ± {quantity(each['u95'], each['unit'])}" if each["u95"] else ""
    value = "no value" if each["value"] is None else quantity(each["value"], each["unit"]) + uncertainty
    _, _, detail = (each["reason"] or "").partition(": ")
    told = f"{name} is {value}"
    if part:
        parts = {spec.name: spec.measures[name].each for spec in CATALOGUE[station] if name in spec.measures}
        kind = KINDS.get(parts.get(step, ""), "")
        beyond = [f", {word} {quantity(each[bound], each['unit'])}" for bound, word in _broken(each)]
        told = f"{kind}{part}: {told}{''.join(beyond)}"
    return told + (f" ({detail})" if detail else "")


def _broken(each: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The bound that a value lies beyond, and on which side."""
    value, low, high = each["value"], each["low"], each["high"]
    if value is None:
        return []
    below, above = low is not None and value < low, high is not None and value > high
    return [("low", "below")] * below + [("high", "above")] * above


def _limit(station: str, step: str, each: Mapping[str, Any], recipe: Recipe, origins: Mapping[str, Origin]) -> str:
    """The limit that was not met, why it is so, and the file and line it stands in."""
    bounds = [name for name in ("low", "high") if each[name] is not None]
    broken = [name for name, _ in _broken(each)]
    base = base_and_part(each["name"])[0]
    told = []
    for name in broken or bounds:
        origin = origins.get(f"{station}.{step}.limits.{base}.{name}")
        place = f", {origin.file} line {origin.line}" if origin else f", recipe {recipe.id} revision {recipe.revision}"
        word = "at least" if name == "low" else "at most"
        told.append(f"{word} {quantity(each[name], each['unit'])}{place}")
    limit = next(each_step for each_step in recipe.steps(station) if each_step.run == step).limits[each["name"]]
    guarded = " Within the limit, but not by the uncertainty of the reading." if not broken and limit.guard else ""
    return f"{'; '.join(told)}: {limit.why}.{guarded}"
