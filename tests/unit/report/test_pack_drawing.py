"""The drawing of hand-made records: every part is there, once, and its result in class, sign and text."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import pytest

from bmsctl.domain.recipe import Recipe
from bmsctl.report.pack_drawing import pack_drawing
from tests.support.simulate import RECIPE
from tests.unit.report.stacked import (
    AM60,
    AS40,
    AS52,
    bad_bolt,
    cloned,
    record,
    reworked,
    step_named,
    stopped,
    values_until,
)

KINDS = ("tray", "cover", "module", "busbar", "bolt", "joint")
SIGN_TAGS = {"PASS": "polyline", "FAIL": "polyline", "INVALID": "text", "none": ""}


def drawn(told: dict[str, Any], recipe: Recipe = AS52) -> ElementTree.Element:
    return ElementTree.fromstring(pack_drawing(told, recipe))


def groups(svg: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """The element of each part by the first words of its title."""
    found: dict[str, ElementTree.Element] = {}
    for group in svg.iter("g"):
        title = group.find("title")
        if title is not None:
            name = (title.text or "").partition(":")[0]
            assert name not in found, f"{name} is drawn twice"
            found[name] = group
    return found


def title(svg: ElementTree.Element, part: str) -> str:
    return groups(svg)[part].findtext("title") or ""


def css(svg: ElementTree.Element, part: str) -> str:
    return groups(svg)[part].get("class", "")


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (AS40, {"module": 3, "busbar": 4, "joint": 8}),
        (AS52, {"module": 4, "busbar": 5, "joint": 10}),
        (AM60, {"module": 12, "busbar": 13, "joint": 26}),
    ],
)
def test_every_part_of_a_good_pack_is_drawn_once_and_good(recipe: Recipe, expected: dict[str, int]) -> None:
    svg = drawn(record(recipe), recipe)
    bolts = sum(len(step_named(recipe, run).names("bolts")) for run in ("bolts", "busbars", "cover_bolts"))
    words = [group.get("class", "").split() for group in groups(svg).values()]
    assert Counter(kind for kind, _ in words) == expected | {"tray": 1, "cover": 1, "bolt": bolts}
    assert {state for kind, state in words if kind not in ("busbar", "cover")} == {"PASS"}
    assert {state for kind, state in words if kind in ("busbar", "cover")} == {"in"}


def test_serial_polarity_and_layers_are_written() -> None:
    svg = drawn(record(AM60), AM60)
    texts = Counter(element.text for element in svg.iter("text"))
    assert all(texts[f"M-{number}"] == 1 for number in range(1, 13))
    assert (texts["+"], texts["−"], texts["contactor"]) == (12, 12, 2)
    assert {"lower layer", "upper layer", "PASS", "FAIL", "INVALID", "not done"} <= set(texts)


def test_a_bolt_that_is_bad_after_a_new_one_is_marked_and_tells_both() -> None:
    svg = drawn(bad_bolt())
    assert css(svg, "bolt m1.3") == "bolt FAIL"
    assert css(svg, "bolt m1.1") == "bolt PASS"
    assert css(svg, "bolt m1.2") == "bolt none"
    assert css(svg, "busbar 1") == "busbar none"
    told = title(svg, "bolt m1.3").splitlines()
    assert told[:3] == ["bolt m1.3: FAIL", "torque 18.1 Nm, FAIL: below low: tightening 4712", "angle 90 deg"]
    assert told[3].startswith("tightening 4712 at ")
    assert told[4].startswith("before it tightening 4711 at ")
    assert told[4].endswith(", NOK; taken out: torque[m1.3]: below low")
    rings = [name for name, group in groups(svg).items() if group.find("circle[@class='renewed']") is not None]
    assert rings == ["bolt m1.3"]


@pytest.mark.parametrize("kind", ["bolt", "joint"])
def test_every_verdict_has_a_sign_of_its_own_beside_the_colour(kind: str) -> None:
    part, run, name = {"bolt": ("m1.1", "bolts", "torque"), "joint": ("j3", "joints", "resistance")}[kind]
    signs = {}
    for verdict in ("PASS", "FAIL", "INVALID", "none"):
        told = record()
        step = next(made for made in told["steps"] if made["name"] == run)
        if verdict == "none":
            step |= {"measurements": [], "verdict": None}
        else:
            next(each for each in step["measurements"] if each["name"] == f"{name}[{part}]")["verdict"] = verdict
        group = groups(drawn(told))[f"{kind} {part}"]
        assert group.get("class") == f"{kind} {verdict}"
        sign = next((element for element in group if element.get("class") == "sign"), None)
        assert (sign.tag if sign is not None else "") == SIGN_TAGS[verdict]
        signs[verdict] = None if sign is None else len((sign.get("points") or "").split())
    assert len(set(signs.values())) == 4


def test_bolts_are_round_and_joints_square() -> None:
    found = groups(drawn(record()))
    for name, group in found.items():
        shape = next(element for element in group if element.get("class") == "shape" or element.tag == "polyline")
        if name.startswith(("bolt", "joint")):
            assert shape.tag == ("circle" if name.startswith("bolt") else "rect"), name


def test_a_clone_is_invalid_and_nothing_behind_it_is_done() -> None:
    svg = drawn(cloned())
    assert [css(svg, f"module {number}") for number in (1, 2, 3)] == ["module none", "module INVALID", "module none"]
    assert css(svg, "tray AS52000000001") == "tray PASS"
    assert css(svg, "cover") == "cover none"
    assert "missing" in title(svg, "module 2")


def test_a_module_the_wrong_way_round_fails_and_says_its_voltage() -> None:
    step = step_named(AS52, "place")
    values = values_until(step, ["module 1"], {"serial_match[module 2]": 1.0, "voltage[module 2]": -85.25})
    svg = drawn(stopped(AS52, "place", values, "FAIL", "voltage[module 2]: below low"))
    assert css(svg, "module 2") == "module FAIL"
    assert "voltage -85.25 V, FAIL: below low" in title(svg, "module 2")


def test_a_module_taken_out_is_told_with_its_serial_and_why() -> None:
    svg = drawn(reworked())
    assert title(svg, "module 3").splitlines()[-1] == "before it M-3; taken out: replaced"
    assert "M-3" not in {element.text for element in svg.iter("text")}
    assert css(svg, "bolt m3.1") == "bolt none"
    assert title(svg, "bolt m3.1").endswith("taken out: came off with module 3")
    assert groups(svg)["bolt m3.1"].find("circle[@class='renewed']") is None


def test_several_bolts_at_one_end_of_a_busbar_share_a_mark_the_gravest_counts() -> None:
    params = dict(step_named(AS52, "busbars").params)
    params["bolts"] = (*step_named(AS52, "busbars").names("bolts"), "b1.3")
    steps = [
        step if step.run != "busbars" else type(step)(step.run, True, step.max_s, step.limits, params)
        for step in AS52.stacking
    ]
    recipe = Recipe.of(AS52.revision, AS52.pack, {"stacking": steps, "eol": AS52.eol}, {})
    told = record()
    step = next(made for made in told["steps"] if made["name"] == "busbars")
    next(each for each in step["measurements"] if each["name"] == "torque[b1.2]")["verdict"] = "FAIL"
    svg = drawn(told, recipe)
    assert "bolt b1.2: FAIL" in title(svg, "bolt b1.1")
    assert css(svg, "bolt b1.1") == "bolt FAIL"


def test_texts_are_escaped() -> None:
    evil = "<b>&\"'</b><script>"
    told = copy.deepcopy(record())
    for part in told["genealogy"]:
        part |= {"serial": evil, "lot": evil, "part_number": evil}
    told["pack_serial"] = evil
    text = pack_drawing(told, AS52)
    assert "<b>" not in text
    assert "<script" not in text
    assert evil in [element.text for element in ElementTree.fromstring(text).iter("text")]


def test_a_serial_without_end_stays_within_its_module() -> None:
    told = record()
    module = next(part for part in told["genealogy"] if part["slot"] == "module 1")
    sizes = []
    for length in (5, 80):
        module["serial"] = "M" * length
        text = next(element for element in drawn(told).iter("text") if element.text == module["serial"])
        sizes.append(float(text.get("style", "").removeprefix("font-size:").removesuffix("px")))
    assert sizes[0] == 13.0
    assert sizes[1] * 80 * 0.6 < 110.0


def test_a_recipe_that_stacks_nothing_gives_no_drawing() -> None:
    bare = Recipe.of(RECIPE.revision, RECIPE.pack, {"eol": RECIPE.eol}, {})
    assert pack_drawing(record(), bare) == ""
