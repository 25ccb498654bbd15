"""Records of stacked packs as a station would leave them, made by hand from the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.limits import Reading, judge
from bmsctl.domain.parts import bolt_slot, busbar_slot
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.domain.record_schema import SCHEMA_ID
from bmsctl.report.families import base_and_part

AS40, AS52, AM60 = (RecipeBook(None).by_pack(pack) for pack in ("AS40", "AS52", "AM60"))
SERIAL = "AS52000000001"
UNREACHED = "the step ended before it was measured"


def good_value(step: StepRecipe, name: str) -> float:
    """A value well within the limit of a measurement."""
    limit = step.limits[name]
    if limit.low is not None and limit.high is not None:
        return (limit.low + limit.high) / 2.0
    return 2.0 * limit.low if limit.low is not None and limit.unit else (limit.low or 0.0)


def measured(step: StepRecipe, values: Mapping[str, float | None], detail: str = "") -> list[dict[str, Any]]:
    """Measurements of a step as a record has them; those without a value were never made."""
    found = []
    for name, limit in step.limits.items():
        value = values.get(name)
        reading = None if value is None else Reading(value, limit.unit, detail=detail)
        told = judge(name, reading, limit, missing_because=UNREACHED)._asdict()
        told.pop("bound")
        found.append(told | {"reason": told["reason"] or None})
    return found


def part(slot: str, **changes: Any) -> dict[str, Any]:
    """A part that is in, nothing known of it."""
    nothing: dict[str, Any] = dict.fromkeys(("serial", "lot", "removed_reason", "removed_cause"))
    nothing |= {"incoming": [], "tightenings": []}
    return {"slot": slot, "part_number": "295X", **nothing} | changes


def tightening(number: int, torque: float | None, angle: float | None = 90.0, ok: bool = True) -> dict[str, Any]:
    """A tightening as a record has it."""
    at = "2026-01-01:00:01:00"
    return {"tightening_id": number, "parameter_set": 3, "ok": ok, "torque": torque, "angle": angle, "at": at}


def genealogy(recipe: Recipe) -> list[dict[str, Any]]:
    """Every part of a finished pack."""
    steps = {step.run: step for step in recipe.steps("stacking")}
    modules = recipe.pack.modules
    parts = [part("tray", serial=SERIAL)]
    parts += [part(f"module {number}", serial=f"M-{number}", lot="L1") for number in range(1, modules + 1)]
    parts += [part(busbar_slot(number)) for number in range(1, modules + 2)]
    parts += [part("harness"), part("bms", serial="B-1"), part("cover")]
    bolts = [(step, bolt) for run in ("bolts", "busbars", "cover_bolts") for step in [steps[run]]
             for bolt in step.names("bolts")]  # fmt: skip
    for number, (step, bolt) in enumerate(bolts, 1):
        torque = good_value(step, f"torque[{bolt}]")
        parts.append(part(bolt_slot(bolt), tightenings=[tightening(number, torque)]))
    return parts


def record(recipe: Recipe = AS52, **changes: Any) -> dict[str, Any]:
    """The record of a good pack."""
    steps = [step_of(step) for step in recipe.steps("stacking")]
    return {
        "schema": SCHEMA_ID,
        "record_id": "018c0000-0000-7000-8000-000000000052",
        "pack_serial": SERIAL,
        "pack": recipe.pack.id,
        "vehicle": None,
        "station": "stacking",
        "world": "sim",
        "simulated": True,
        "mode": "Engineering",
        "recipe": {"id": recipe.id, "revision": recipe.revision, "sha256": recipe.sha256},
        "software": {"version": "0.1.0", "git": None},
        "operator": None,
        "attempt": 1,
        "started_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:14:00Z",
        "verdict": "PASS",
        "reason": None,
        "disposition": "release",
        "genealogy": genealogy(recipe),
        "steps": steps,
        "events": {"n": 700, "head_sha256": "ab" * 32},
    } | changes


def step_of(step: StepRecipe, values: Mapping[str, float | None] | None = None, **changes: Any) -> dict[str, Any]:
    """A step that passed, or that measured these values; the rest of it good."""
    everything = {name: good_value(step, name) for name in step.limits} | dict(values or {})
    return {
        "name": step.run,
        "verdict": "PASS",
        "reason": None,
        "started_s": 1.0,
        "duration_s": 10.0,
        "measurements": measured(step, everything, "tightening 4712"),
        "traces": [],
    } | changes


def stopped(recipe: Recipe, run: str, values: Mapping[str, float | None], verdict: str, reason: str) -> dict[str, Any]:
    """The record of a pack whose step `run` measured only `values` and ended so; no later step was run."""
    told = record(recipe, verdict=verdict, reason=f"{run} {verdict}: {reason}", disposition="hold")
    names = [step.run for step in recipe.steps("stacking")]
    for step, made in zip(recipe.steps("stacking"), told["steps"], strict=True):
        if step.run == run:
            made |= {"verdict": verdict, "reason": reason, "measurements": measured(step, values, "tightening 4712")}
        elif names.index(step.run) > names.index(run):
            made |= not_run(step.run, f"not run after {verdict} of {run}")
    return told


def not_run(name: str, reason: str) -> dict[str, Any]:
    """A step that was not run."""
    times = {"started_s": None, "duration_s": None}
    return {"name": name, "verdict": None, "reason": reason, **times, "measurements": [], "traces": []}


def values_until(step: StepRecipe, parts: Sequence[str], last: Mapping[str, float]) -> dict[str, float | None]:
    """Good values of these parts, and the `last` ones."""
    good = {name: good_value(step, name) for name in step.limits if base_and_part(name)[1] in parts}
    return {**good, **last}


def step_named(recipe: Recipe, run: str) -> StepRecipe:
    """A step of the recipe."""
    return next(step for step in recipe.steps("stacking") if step.run == run)


def bad_bolt() -> dict[str, Any]:
    """Bolt m1.3 was replaced after a bad tightening, and is bad again; m1.1 and m1.5 were tightened before it."""
    step = step_named(AS52, "bolts")
    values = values_until(step, ["m1.1", "m1.5"], {"torque[m1.3]": 18.1, "angle[m1.3]": 90.0})
    told = stopped(AS52, "bolts", values, "FAIL", "torque[m1.3]: below low: tightening 4712")
    kept = [
        each for each in told["genealogy"] if not each["slot"].startswith(("bolt", "busbar", "harness", "bms", "cover"))
    ]
    first = part("bolt m1.3", removed_reason="torque[m1.3]: below low", tightenings=[tightening(4711, 18.3, ok=False)])
    kept += [part(f"bolt {name}", tightenings=[tightening(4709, 25.0)]) for name in ("m1.1", "m1.5")]
    kept += [first, part("bolt m1.3", tightenings=[tightening(4712, 18.1, ok=False)])]
    return told | {"genealogy": kept}


def cloned() -> dict[str, Any]:
    """The label of module 2 is that of module 1."""
    step = step_named(AS52, "modules_in")
    values = values_until(step, ["module 1"], {"part_match[module 2]": 1.0})
    why = "module 2: the label says module M-1, which is the one for module 1: cloned, hold both"
    return stopped(AS52, "modules_in", values, "INVALID", why) | {"genealogy": [part("tray", serial=SERIAL)]}


def reworked() -> dict[str, Any]:
    """The second attempt at a pack whose module 3 is replaced: some steps are kept, and it is not finished."""
    told = record(AS52, attempt=2, verdict=None, disposition=None, ended_at=None)
    for made in told["steps"]:
        if made["name"] in ("tray", "bms_flash", "coolant_leak"):
            made |= not_run(made["name"], "kept: passed in record 018c") | {"verdict": "PASS"}
        elif made["name"] != "modules_in":
            made |= not_run(made["name"], "not run yet")
    out = [each for each in told["genealogy"] if each["slot"] in ("module 3", "bolt m3.1", "cover")]
    for each in out:
        each["removed_reason"] = "replaced" if each["slot"] == "module 3" else "came off with module 3"
        each["removed_cause"] = "replaced" if each["slot"] == "module 3" else "came_off"
    return told
