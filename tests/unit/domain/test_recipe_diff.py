"""What changed between two recipes: every sentence and every direction against what was changed on purpose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.limits import Limit, Reading, judge
from bmsctl.domain.recipe import EOL, STACKING, STATIONS, Recipe, StepRecipe
from bmsctl.domain.recipe_diff import Change, Effect, What, compare
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from tests.support.simulate import RECIPE


def step(name: str) -> StepRecipe:
    return next(step for station in STATIONS for step in RECIPE.steps(station) if step.run == name)


def with_step(changed: StepRecipe | None, name: str) -> Recipe:
    """The recipe with a step replaced, or without it."""
    steps = {station: [changed if one.run == name else one for one in RECIPE.steps(station)] for station in STATIONS}
    kept = {station: [one for one in its if one is not None] for station, its in steps.items()}
    return Recipe.of("2", RECIPE.pack, kept, RECIPE.provenance)


def changes(name: str, *, limits: Mapping[str, Limit] | None = None, **params: Any) -> list[Change]:
    """What is said of a step with these limits and parameters instead of its own; the revision's own line apart."""
    old = step(name)
    new = replace(old, limits={**old.limits, **(limits or {})}, params={**old.params, **params})
    found = compare(RECIPE, with_step(new, name))
    assert found[0].text == "pack.revision 1 -> 2"
    return found[1:]


def limit_change(name: str, measurement: str, **changed: Any) -> Change:
    limit = replace(step(name).limits[measurement], **changed)
    (change,) = changes(name, limits={measurement: limit})
    return change


def test_nothing_changed() -> None:
    assert compare(RECIPE, RECIPE) == []
    assert compare(RECIPE, Recipe.from_json(RECIPE.to_json())) == []


PACK = step("dcir").limits["pack_resistance"]


@pytest.mark.parametrize(
    ("changed", "said", "effect"),
    [
        ({"high": 0.072}, "dcir.pack_resistance high 71.25 -> 72 mOhm: 1.1 % looser", Effect.LOOSER),
        ({"high": 0.057}, "dcir.pack_resistance high 71.25 -> 57 mOhm: 20 % tighter", Effect.TIGHTER),
        ({"low": 0.04}, "dcir.pack_resistance low 42.75 -> 40 mOhm: 6.4 % looser", Effect.LOOSER),
        ({"low": 0.045}, "dcir.pack_resistance low 42.75 -> 45 mOhm: 5.3 % tighter", Effect.TIGHTER),
        ({"low": None}, "low 42.75 mOhm -> none: looser, there is none any more", Effect.LOOSER),
        ({"guard": False}, "dcir.pack_resistance guard band off: looser", Effect.LOOSER),
        ({"why": "drawing"}, "dcir.pack_resistance why estimate: 57 mOhm ± 25 % at 25 °C -> drawing", Effect.NEITHER),
        ({"unit": "V"}, "low 42.75 mOhm -> 42.75 mV: another unit", Effect.NEITHER),
    ],
)
def test_a_limit(changed: dict[str, Any], said: str, effect: Effect) -> None:
    limit = replace(PACK, **changed)
    change = changes("dcir", limits={"pack_resistance": limit})[0]
    assert said in change.text
    assert change.effect is effect


def test_where_a_share_says_nothing_the_difference_is_told() -> None:
    assert limit_change("bms_identity", "foreign_dtcs", high=2.0).text == (
        "bms_identity.foreign_dtcs high 0 -> 2: 2 looser"
    )
    ratio = step("precharge").limits["end_ratio"]
    assert ratio.low is not None
    text = limit_change("precharge", "end_ratio", low=ratio.low + 1.0).text
    assert text.endswith(": 1 percentage point tighter")
    old, new = (
        replace(RECIPE, eol=(replace(step("dcir"), limits={"a": Limit(low, None, "degC", False, "x")}),))
        for low in (5.0, 2.5)
    )
    assert [change.text for change in compare(old, new)] == ["dcir.a low 5 -> 2.5 degC: 2.5 K looser"]


def test_a_limit_from_zero_has_no_share() -> None:
    old = replace(RECIPE, eol=(replace(step("dcir"), limits={"a": Limit(0.0, None, "V", False, "x")}),))
    new = replace(RECIPE, eol=(replace(step("dcir"), limits={"a": Limit(1.0, None, "V", False, "x")}),))
    assert [change.text for change in compare(old, new)] == ["dcir.a low 0 -> 1 V: tighter"]


def test_a_guard_band_switched_on_says_what_it_means() -> None:
    unguarded = replace(RECIPE, eol=(replace(step("dcir"), limits={"a": Limit(1.0, None, "V", False, "x")}),))
    guarded = replace(RECIPE, eol=(replace(step("dcir"), limits={"a": Limit(1.0, None, "V", True, "x")}),))
    (change,) = compare(unguarded, guarded)
    assert (change.what, change.effect, change.old, change.new) == (What.GUARD, Effect.TIGHTER, None, "u95")
    assert change.text == "dcir.a guard band on: the pack must meet the limit in spite of the uncertainty: tighter"


def test_a_measurement_that_is_judged_also_or_no_longer() -> None:
    one, other = Limit(1.0, None, "V", True, "x"), Limit(None, 2.0, "V", False, "x")
    old = replace(RECIPE, eol=(replace(step("dcir"), limits={"a": one}),))
    new = replace(RECIPE, eol=(replace(step("dcir"), limits={"b": other}),))
    assert [(change.text, change.effect) for change in compare(old, new)] == [
        ("dcir.a: no longer judged, low 1 V, guarded: looser", Effect.LOOSER),
        ("dcir.b: also judged, high 2 V: tighter", Effect.TIGHTER),
    ]


def test_a_limit_of_many_parts_is_one_change() -> None:
    bolts = step("bolts")
    limits = {name: replace(limit, low=9.0) for name, limit in bolts.limits.items() if name.startswith("torque[")}
    assert len(limits) == 32
    (change,) = changes("bolts", limits=limits)
    assert change.key == "stacking.bolts.limits.torque[*].low"
    assert change.text == "bolts.torque[*] low 22.5 -> 9 Nm: 60 % looser"
    assert change.origin == RECIPE.provenance["stacking.bolts.limits.torque.low"]


def test_parts_whose_limits_differ_are_told_one_by_one() -> None:
    name = next(name for name in step("bolts").limits if name.startswith("torque["))
    (change,) = changes("bolts", limits={name: replace(step("bolts").limits[name], low=9.0)})
    assert change.text == f"bolts.{name} low 22.5 -> 9 Nm: 60 % looser"
    assert change.origin == RECIPE.provenance["stacking.bolts.limits.torque.low"]


@pytest.mark.parametrize(
    ("name", "params", "what", "said"),
    [
        ("dcir", {"pulse_current": 120.0}, What.PARAMETER, "dcir.pulse_current 100 -> 120 A"),
        ("bms_identity", {"software": "SW0153"}, What.BOM, "bms_identity.software SW0152 -> SW0153"),
        ("identify", {"snapshots": 4}, What.PARAMETER, "identify.snapshots 3 -> 4"),
        (
            "bonding",
            {"points": ("cover", "hv_connector", "tray_rear", "cooling_plate", "service_disconnect", "x")},
            What.PARAMETER,
            "bonding.points: without tray_front; with x; in another order",
        ),
    ],
)
def test_a_parameter(name: str, params: dict[str, Any], what: What, said: str) -> None:
    (change,) = changes(name, **params)
    assert (change.what, change.effect, change.text) == (what, Effect.NEITHER, said)
    assert change.origin == RECIPE.provenance[change.key]


def test_entries_of_a_table() -> None:
    owners = dict(step("bms_identity").table("dtc_owners"))
    del owners["1B03"]
    (change,) = changes("bms_identity", dtc_owners={**owners, "1BA2": "hvil", "1BFF": "dcir"})
    assert change.text == "bms_identity.dtc_owners: 1B03 dcir -> none; 1BA2 insulation_live -> hvil; 1BFF none -> dcir"
    assert change.origin is not None


def test_max_time_is_neither() -> None:
    old = step("dcir")
    (_, change) = compare(RECIPE, with_step(replace(old, max_s=Second(old.max_s + 0.5)), "dcir"))
    assert (change.key, change.effect) == ("eol.dcir.max_time", Effect.NEITHER)


def test_a_step_that_may_be_skipped_from_a_newer_program_on() -> None:
    (_, change) = compare(RECIPE, with_step(replace(step("dcir"), mandatory=False), "dcir"))
    assert change.text == "dcir.mandatory mandatory -> optional"


def test_steps_come_and_go() -> None:
    without = with_step(None, "withstand")
    (_, gone), (_, come) = compare(RECIPE, without), compare(without, RECIPE)
    assert (gone.text, gone.effect) == (
        "withstand: removed or skipped; it is no longer run: looser",
        Effect.LOOSER,
    )
    assert (come.text, come.effect) == ("withstand: added; it was not run before: tighter", Effect.TIGHTER)
    for change in (gone, come):
        assert change.origin is not None
        assert "eol.withstand." in next(key for key, one in RECIPE.provenance.items() if one == change.origin)


def test_the_pack_itself() -> None:
    pack = replace(RECIPE.pack, effective_from=date(2026, 2, 1), part_number="X", u_max=410.0, series=100)
    new = Recipe.of("1", pack, {station: RECIPE.steps(station) for station in STATIONS}, {})
    assert [(change.text, change.what) for change in compare(RECIPE, new)] == [
        ("pack.part_number 295B08142R -> X", What.BOM),
        ("pack.topology.series 96 -> 100", What.PACK),
        ("pack.max_working_voltage 403.2 -> 410 V", What.PACK),
        ("pack.effective_from 2025-01-01 -> 2026-02-01", What.EFFECTIVITY),
    ]


def test_changes_come_in_the_order_of_the_steps() -> None:
    everything = Recipe.of("2", RECIPE.pack, {}, {})
    runs = [change.key for change in compare(RECIPE, everything) if change.what is What.STEP]
    assert runs == [f"{station}.{one.run}" for station in (STACKING, EOL) for one in RECIPE.steps(station)]


BOUND = st.one_of(st.none(), st.floats(-10.0, 10.0))


@given(BOUND, BOUND, BOUND, BOUND, st.booleans(), st.booleans(), st.floats(-12.0, 12.0), st.floats(0.0, 1.0))
def test_tighter_never_lets_a_pack_pass_that_failed_and_looser_never_fails_one(
    low: float | None,
    high: float | None,
    new_low: float | None,
    new_high: float | None,
    guard: bool,
    new_guard: bool,
    value: float,
    u95: float,
) -> None:
    old, new = (
        Limit(a, b, "V", guarded, "x") for a, b, guarded in ((low, high, guard), (new_low, new_high, new_guard))
    )
    recipes = [replace(RECIPE, eol=(replace(step("dcir"), limits={"a": limit}),)) for limit in (old, new)]
    effects = {change.effect for change in compare(*recipes)}
    passed = [judge("a", Reading(value, "V", u95), limit).verdict is Verdict.PASS for limit in (old, new)]
    if effects == {Effect.TIGHTER}:
        assert passed[0] or not passed[1]
    elif effects == {Effect.LOOSER}:
        assert passed[1] or not passed[0]
    else:
        assert effects in (set(), {Effect.TIGHTER, Effect.LOOSER})
        assert effects or math.isclose(passed[0], passed[1])
