"""Stacking steps fit the pack and each other, or are refused where they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmsctl.domain.recipe_compiler import compile_recipe
from bmsctl.errors import RecipeError

RECIPES = Path(__file__).parents[3] / "recipes"
PACK = "packs/as52.toml"
TEXT = (RECIPES / PACK).read_text()
SLOT_3 = 'params.slots."module 3" = "poles to the front"\n'
BUSBAR_5 = 'params.busbars."busbar 5" = "module 4 plus to the main contactor"\n'
CHIP = 'params.chips."chip {}" = {{ value = "16 cells", why = "estimate: drawing of the harness" }}\n'


def findings(text: str) -> list[str]:
    """What is wrong with a pack of this text; nothing if it compiles."""

    def read(name: str) -> bytes:
        return text.encode() if name == PACK else (RECIPES / name).read_bytes()

    try:
        compile_recipe(PACK, read)
    except RecipeError as error:
        return error.findings
    return []


def place(text: str, part: str, nth: int = 0) -> str:
    """File and line of the nth line that begins like this."""
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith(part)]
    return f"{PACK}:{lines[nth]}"


def child(run: str, *lines: str) -> list[str]:
    """What is wrong with the pack if one step is overridden so."""
    text = f'extends = "{PACK}"\n[[stacking.step]]\nrun = "{run}"\n' + "\n".join(lines) + "\n"

    def read(name: str) -> bytes:
        return text.encode() if name == "x.toml" else (RECIPES / name).read_bytes()

    with pytest.raises(RecipeError) as refused:
        compile_recipe("x.toml", read)
    return refused.value.findings


def test_the_pack_as_it_is_has_no_findings() -> None:
    assert findings(TEXT) == []


@pytest.mark.parametrize(("run", "nth"), [("modules_in", 0), ("place", 1)])
def test_a_missing_slot_is_named_at_the_end_of_its_table(run: str, nth: int) -> None:
    parts = TEXT.split(SLOT_3)
    text = SLOT_3.join(parts[: nth + 1]) + SLOT_3.join(parts[nth + 1 :])
    at = place(text, 'params.slots."module 4"', nth)
    what = "without module 3; add what is missing, or correct pack.topology"
    assert findings(text) == [f"{at}: stacking.{run}.params.slots: {what}"]


def test_slots_out_of_order_are_refused_once_a_table() -> None:
    swapped = TEXT.replace(SLOT_3, "").replace('params.slots."module 2"', SLOT_3 + 'params.slots."module 2"')
    key = "params.slots.module 3: module 2 belongs here; number from 1 on, in order"
    at = [place(swapped, 'params.slots."module 3"', nth) for nth in (0, 1)]
    assert findings(swapped) == [f"{at[0]}: stacking.modules_in.{key}", f"{at[1]}: stacking.place.{key}"]


def test_a_missing_busbar_is_named() -> None:
    text = TEXT.replace(BUSBAR_5, "")
    at = place(text, 'params.busbars."busbar 4"')
    what = "without busbar 5; add what is missing, or correct pack.topology"
    assert findings(text) == [f"{at}: stacking.busbars.params.busbars: {what}"]


def test_busbars_out_of_order_are_refused() -> None:
    text = TEXT.replace(BUSBAR_5, "").replace('params.busbars."busbar 4"', BUSBAR_5 + 'params.busbars."busbar 4"')
    at = place(text, 'params.busbars."busbar 5"')
    what = "busbar 4 belongs here; number from 1 on, in order"
    assert findings(text) == [f"{at}: stacking.busbars.params.busbars.busbar 5: {what}"]


def test_chips_that_leave_cells_out_are_refused() -> None:
    text = TEXT.replace(CHIP.format(6), "")
    at = place(text, 'params.chips."chip 5"')
    what = "80 cells, the pack has 96 cell groups; correct the chips, or pack.topology"
    assert findings(text) == [f"{at}: stacking.harness.params.chips: {what}"]


def test_a_chip_left_out_in_the_middle_is_named_beside_the_sum() -> None:
    text = TEXT.replace(CHIP.format(2), "")
    found = [finding.partition(": ")[2] for finding in findings(text)]
    assert found == [
        "stacking.harness.params.chips.chip 3: chip 2 belongs here; number from 1 on, in order",
        "stacking.harness.params.chips: 80 cells, the pack has 96 cell groups; correct the chips, or pack.topology",
    ]


def test_another_topology_tells_everything_that_no_longer_fits() -> None:
    text = TEXT.replace("series = 96, parallel = 2, modules = 4", "series = 72, parallel = 2, modules = 3")
    found = {finding.split(": ")[1].removeprefix("stacking.") for finding in findings(text)}
    assert found == {
        "modules_in.params.slots.module 4",
        "place.params.slots.module 4",
        "bolts.params.bolts",
        "busbars.params.busbars.busbar 5",
        "busbars.params.bolts",
        "joints.params.joints",
        "harness.params.chips",
    }


def test_a_text_that_is_wrong_makes_no_second_finding() -> None:
    found = child("modules_in", 'params.slots."module 2" = 2')
    assert found == ['x.toml:4: stacking.modules_in.params.slots.module 2: 2 is no text; write it in quotes, like "…"']


@pytest.mark.parametrize("text", ["0 cells", "16 Cells", "16", "cells 16", "-16 cells", "16 cells."])
def test_a_chip_is_compared_on_the_line_as_a_number_of_cells(text: str) -> None:
    (finding,) = child("harness", f'params.chips."chip 6" = "{text}"')
    assert finding.endswith(f'chip 6: {text!r} is no number of cells; write it like "16 cells"')


@pytest.mark.parametrize("sha256", ["0" * 63, "0" * 65, "g" * 64, "A" * 64, "0" * 63 + "٠"])
def test_a_sha256_has_64_digits_as_they_are_printed(sha256: str) -> None:
    (finding,) = child("bms_flash", f'params.image_sha256 = "{sha256}"')
    assert finding.endswith("is no sha256; write its 64 digits 0-9 a-f, from the image's release note")


@pytest.mark.parametrize("run", ["coolant_leak", "housing_leak"])
@pytest.mark.parametrize(
    ("name", "zero"),
    [("test_pressure", "-0 Pa"), ("fill", "0 s"), ("settle", "0 s"), ("test", "0 s"), ("volume", "0 cm3")],
)
def test_a_leak_test_that_finds_none_is_refused(run: str, name: str, zero: str) -> None:
    (finding,) = child(run, f'params.{name} = "{zero}"')
    assert finding == f"x.toml:4: stacking.{run}.params.{name}: zero, no leak would be found; state the real value"


def test_a_leak_test_may_be_made_with_less_than_the_air_outside() -> None:
    assert (
        findings(TEXT.replace('run = "coolant_leak"', 'run = "coolant_leak"\nparams.test_pressure = "-0.5 bar"')) == []
    )


@pytest.mark.parametrize("run", ["tray", "modules_in", "hvil_loop", "housing_leak", "label"])
def test_an_unknown_sort_of_part_is_refused_in_every_step(run: str) -> None:
    (finding,) = child(run, 'params.redo_after = ["tray", "cover bolts"]')
    assert finding == (
        f"x.toml:4: stacking.{run}.params.redo_after: 'cover bolts' is no sort of part; did you mean 'cover bolt'?"
    )


def test_a_step_that_is_skipped_needs_nothing() -> None:
    text = TEXT.replace('run = "coolant_leak"', 'run = "coolant_leak"\nskip = true\nparams.fill = "0 s"')
    assert findings(text) == []


def test_a_bolts_number_may_be_of_any_length() -> None:
    (finding,) = child("bolts", f'params.bolts = ["m1.1", "m2.1", "m3.1", "m4.1", "m{"9" * 900}.1"]')
    assert "is no bolt of module 1 to module 4" in finding
