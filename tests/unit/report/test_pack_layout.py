"""Any pack that a recipe may describe fits into the drawing, and nothing in it lies over anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.report.pack_layout import FLANGE, WIDTH, Box, Layout, Point, layout
from tests.unit.report.stacked import AM60, AS52, step_named

APART = 15.0
SIDES = ("poles to the front", "poles to the rear", "poles to the left", "poles to the right", "as it comes")
LAYERS = ("", "lower layer, ", "upper layer, ")


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def inside(point: Point, box: Box) -> bool:
    return box.x <= point.x <= box.x + box.width and box.y <= point.y <= box.y + box.height


def marks(drawn: Layout) -> list[Point]:
    ends = [point for busbar in drawn.busbars for point in (*busbar.bolts, *busbar.joints)]
    return [*ends, *(bolt for module in drawn.modules for bolt in module.bolts), *drawn.cover_bolts]


def check(drawn: Layout, modules: int) -> None:
    """Everything is there, apart from everything else, and inside the cover's flange but for the cover's bolts."""
    within = Box(FLANGE, FLANGE, WIDTH - 2.0 * FLANGE, drawn.height - 2.0 * FLANGE)
    assert (len(drawn.modules), len(drawn.busbars)) == (modules, modules + 1)
    for module in drawn.modules:
        assert module.box.width > 40.0
        assert module.box.height > 40.0
        assert all(inside(bolt, module.box) for bolt in module.bolts)
        x, y, width, height = module.box
        assert inside(Point(x, y), within)
        assert inside(Point(x + width, y + height), within)
    for module, beside in combinations(drawn.modules, 2):
        assert not overlap(module.box, beside.box)
    for busbar in drawn.busbars:
        assert all(inside(point, within) for point in busbar.course)
        assert not any(inside(end, module.box) for end in busbar.course for module in drawn.modules)
        assert all(a.x == b.x or a.y == b.y for a, b in pairwise(busbar.course)), "busbars run straight"
    for one, other in combinations(marks(drawn), 2):
        assert math.dist(one, other) >= APART
    for bolt in drawn.cover_bolts:
        assert inside(bolt, Box(0.0, 0.0, WIDTH, drawn.height))
        assert not inside(bolt, within)


def drawn_of(orientations: Sequence[str], bolts: int = 4, cover_bolts: int = 50) -> Layout:
    return layout(orientations, [bolts] * len(orientations), cover_bolts)


@settings(max_examples=60, deadline=None)
@given(
    orientations=st.lists(
        st.tuples(st.sampled_from(LAYERS), st.sampled_from(SIDES)).map("".join), min_size=1, max_size=24
    ),
    bolts=st.integers(0, 8),
    cover_bolts=st.integers(0, 60),
)
def test_any_pack_lays_out_without_overlap(orientations: list[str], bolts: int, cover_bolts: int) -> None:
    check(drawn_of(orientations, bolts, cover_bolts), len(orientations))


@pytest.mark.parametrize("sides", [("front", "rear"), ("left", "right"), ("nowhere", "nowhere")])
@pytest.mark.parametrize("modules", range(1, 25))
def test_every_number_of_modules_lays_out(sides: tuple[str, str], modules: int) -> None:
    check(drawn_of([f"poles to the {sides[number % 2]}" for number in range(modules)]), modules)


def test_four_upright_modules_stand_in_one_row_their_poles_where_the_recipe_says() -> None:
    slots = step_named(AS52, "place").table("slots")
    drawn = drawn_of([slots[f"module {number}"] for number in range(1, 5)])
    boxes = [module.box for module in drawn.modules]
    assert drawn.upright
    assert {box.y for box in boxes} == {boxes[0].y}
    assert [box.x for box in boxes] == sorted(box.x for box in boxes)
    front = [module.plus.end.y > module.box.y + module.box.height for module in drawn.modules]
    assert front == ["front" in slots[f"module {number}"] for number in range(1, 5)]


def test_layers_have_a_column_each_and_lead_back() -> None:
    slots = step_named(AM60, "place").table("slots")
    drawn = drawn_of([slots[f"module {number}"] for number in range(1, 13)])
    assert not drawn.upright
    assert [name for name, _ in drawn.layers] == ["lower layer", "upper layer"]
    assert len({module.box.x for module in drawn.modules}) == 2
    assert [drawn.modules[0].box.y, drawn.modules[5].box.y] == [drawn.modules[11].box.y, drawn.modules[6].box.y]


def test_busbars_join_plus_to_the_next_minus_and_the_last_two_lead_out() -> None:
    drawn = drawn_of(["poles to the left", "poles to the right"] * 4)
    for number, (module, following) in enumerate(pairwise(drawn.modules)):
        assert drawn.busbars[number].bolts == (module.plus.end, following.minus.end)
    assert drawn.busbars[-2].bolts[0] == drawn.modules[0].minus.end
    assert drawn.busbars[-1].bolts[0] == drawn.modules[-1].plus.end


def test_a_pack_without_modules_is_refused() -> None:
    with pytest.raises(ValueError, match="without modules"):
        layout([], [], 4)
