"""The recipe folder: found by pack, part number and day, vehicle, or path; nothing outside it is read."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from datetime import date
from pathlib import Path

import pytest

from bmsctl.compose.recipes import IMAGE_BYTES_MAX, INSTALLED, RecipeBook, compile_file
from bmsctl.domain.recipe import Recipe
from bmsctl.errors import RecipeError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipes folder of one's own."""
    return Path(shutil.copytree(INSTALLED, tmp_path / "recipes"))


def newer(folder: Path, name: str, day: str, revision: str) -> None:
    text = f'extends = "packs/as52.toml"\n[pack]\nrevision = "{revision}"\neffective_from = {day}\n'
    (folder / "packs" / name).write_text(text)


def test_the_installed_recipe_compiles() -> None:
    recipe = RecipeBook().by_pack("AS52")
    pack = recipe.pack
    assert (recipe.id, pack.series, pack.parallel, pack.modules) == ("AS52", 96, 2, 4)
    assert (pack.u_max, pack.u_nom) == (403.2, 350.0)


def test_the_numbers_are_those_of_the_specification() -> None:
    """Name: low, high (in V, s, Ohm, %, counts), guarded."""
    expected = {
        "identify.docking_voltage": (-60, 60, True),
        "bms_alive.first_frame": (None, 2, True),
        "bms_alive.frame_errors": (None, 0, False),
        "bms_identity.software_match": (1, None, False),
        "bms_identity.foreign_dtcs": (None, 0, False),
        "contactors_open.u_pn_all_open": (-10, 10, True),
        "contactors_open.u_pn_precharge_only": (-10, 10, True),
        "contactors_open.u_pn_main_minus_only": (-10, 10, True),
        "contactors_open.p_b_minus_all_open": (-60, 60, True),
        "contactors_open.p_b_minus_main_minus_only": (-60, 60, True),
        "cells_at_rest.cell_min": (3.4, None, True),
        "cells_at_rest.cell_max": (None, 3.9, True),
        "cells_at_rest.cell_deviation": (None, 0.025, True),
        "cells_at_rest.cell_spread": (None, 0.03, True),
        "cells_at_rest.pack_sum_deviation": (-1, 1, True),
        "cells_at_rest.open_wires": (None, 0, False),
        "precharge.imd_before": (10e3, None, False),
        "precharge.precharge_resistance": (40, 60, True),
        "precharge.end_ratio": (98, None, True),
        "precharge.loaded_ratio": (98, None, True),
        "precharge.sum_deviation": (-1, 1, True),
        "make_safe.u_pn_plc": (-60, 60, True),
        "make_safe.time_to_safe": (None, 5, True),
    }
    steps = {step.run: step for step in RecipeBook().by_pack("AS52").eol}
    for name, limits in expected.items():
        run, _, measurement = name.partition(".")
        limit = steps[run].limits[measurement]
        assert (limit.low, limit.high, limit.guard) == limits, name


def test_every_number_of_the_installed_recipe_has_a_reason() -> None:
    recipe = RecipeBook().by_pack("AS52")
    tables = (
        "eol.bms_identity.params.dtc_owners.",
        "stacking.modules_in.params.slots.",
        "stacking.place.params.slots.",
    )
    texts = ("pack.", *tables, "stacking.busbars.params.busbars.")
    without = [key for key, origin in recipe.provenance.items() if not origin.why]
    assert [key for key in without if not key.startswith(texts)] == []


def test_vehicles_lead_to_packs() -> None:
    assert RecipeBook().vehicles() == {
        "renault_5_52": "AS52",
        "alpine_a290": "AS52",
        "nissan_micra_52": "AS52",
        "renault_5_40": "AS40",
        "nissan_micra_40": "AS40",
        "renault_megane_60": "AM60",
        "renault_scenic_60": "AM60",
        "mitsubishi_eclipse_cross_60": "AM60",
    }


def test_a_vehicle_without_pack_is_refused_with_its_line(folder: Path) -> None:
    (folder / "vehicles.toml").write_text('a = "AS52"\n\nb = "AS99"\nc = 5\n')
    with pytest.raises(RecipeError) as refused:
        RecipeBook(folder).vehicles()
    assert [finding.split(": ")[0] for finding in refused.value.findings] == ["vehicles.toml:3", "vehicles.toml:4"]


def test_the_part_number_and_the_day_find_the_recipe_in_effect(folder: Path) -> None:
    newer(folder, "a_later.toml", "2026-03-01", "2")
    newer(folder, "z_latest.toml", "2026-09-01", "3")
    book = RecipeBook(folder)
    days = {"2025-01-01": "1", "2026-02-28": "1", "2026-03-01": "2", "2026-08-31": "2", "2026-09-01": "3"}
    for day, revision in days.items():
        assert book.by_part_number("295B08142R", date.fromisoformat(day)).revision == revision
    assert book.by_pack("AS52").revision == "3"


@pytest.mark.parametrize(("part_number", "day"), [("295B08142R", "2024-12-31"), ("nothing", "2026-01-01")])
def test_no_recipe_in_effect_is_refused(part_number: str, day: str) -> None:
    with pytest.raises(RecipeError, match=r"in effect on .*; known: .*AS52 \(295B08142R\)"):
        RecipeBook().by_part_number(part_number, date.fromisoformat(day))


def test_two_recipes_in_effect_from_the_same_day_are_refused(folder: Path) -> None:
    newer(folder, "copy.toml", "2025-01-01", "2")
    with pytest.raises(RecipeError, match=r"packs/copy\.toml:1: pack\.effective_from: .* as packs/as52\.toml"):
        RecipeBook(folder).by_pack("AS52")


def test_an_unknown_pack_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"no pack 'AS99'; known: .*AS52"):
        RecipeBook().by_pack("AS99")


def test_a_broken_pack_does_not_stop_another_but_is_named_where_it_may_be_meant(folder: Path) -> None:
    (folder / "packs" / "as40.toml").write_bytes(b"\xff")
    book = RecipeBook(folder)
    assert book.by_pack("AS52").id == "AS52"
    with pytest.raises(RecipeError, match=r"packs/as40\.toml:1: file: not UTF-8"):
        book.by_pack("AS40")


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.toml").write_text('[pack]\nid = "X"\n')
    (folder / "platforms" / "link.toml").symlink_to(tmp_path / "outside.toml")
    (folder / "packs" / "x.toml").write_text('extends = "platforms/link.toml"\n')
    with pytest.raises(RecipeError, match=r"packs/x\.toml:1: extends: .*outside the recipes folder"):
        compile_file(folder / "packs" / "x.toml", RecipeBook(folder))


def test_a_pipe_is_not_read(folder: Path) -> None:
    os.mkfifo(folder / "packs" / "pipe.toml")
    with pytest.raises(RecipeError, match=r"packs/pipe\.toml:1: file: .*not a regular file"):
        compile_file(folder / "packs" / "pipe.toml", RecipeBook(folder))


@pytest.mark.parametrize("name", ["packs/as52.toml", "platforms/ampr_small.toml", "vehicles.toml"])
def test_a_link_to_itself_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(folder / name)
    book = RecipeBook(folder)
    with pytest.raises(RecipeError, match=rf"{name}.* cannot be read \(Too many levels of symbolic links\)"):
        book.vehicles() if name == "vehicles.toml" else book.by_pack("AS52")


def test_a_directory_is_no_recipe(folder: Path) -> None:
    (folder / "packs" / "folder.toml").mkdir()
    with pytest.raises(RecipeError, match=r"cannot be read \(a directory\)"):
        compile_file(folder / "packs" / "folder.toml", RecipeBook(folder))


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000, "#" * 300_000, "a = 0x" + "f" * 5000])
def test_a_strange_list_of_vehicles_is_refused(folder: Path, text: str) -> None:
    (folder / "vehicles.toml").write_text(text)
    with pytest.raises(RecipeError, match=r"^vehicles\.toml:1: "):
        RecipeBook(folder).vehicles()


def test_a_pack_is_tested_by_the_recipe_in_effect_on_its_day(folder: Path) -> None:
    newer(folder, "later.toml", "2099-01-01", "2")
    newer(folder, "later_too.toml", "2099-01-01", "3")
    book = RecipeBook(folder)
    assert book.by_pack("AS52", date(2026, 1, 1)).revision == "1"
    with pytest.raises(RecipeError, match="in effect from the same day"):
        book.by_pack("AS52", date(2099, 1, 1))


def test_a_pack_without_recipe_in_effect_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"no recipe for pack 'AS52' in effect on 2024-12-31; known: .*AS52"):
        RecipeBook().by_pack("AS52", date(2024, 12, 31))
    with pytest.raises(RecipeError, match=r"no pack 'AS99'; known: .*AS52"):
        RecipeBook().by_pack("AS99", date(2026, 1, 1))


def test_clashes_name_both_files(folder: Path) -> None:
    assert RecipeBook(folder).clashes() == []
    newer(folder, "copy.toml", "2025-01-01", "2")
    same_part = 'extends = "packs/as52.toml"\n[pack]\nid = "AS53"\neffective_from = 2025-01-01\n'
    (folder / "packs" / "part.toml").write_text(same_part)
    what = "in effect from the same day as packs/{}.toml; give one another effective_from"
    assert RecipeBook(folder).clashes() == [
        f"packs/{file}.toml:1: pack.effective_from: {what.format(other)}"
        for file, other in (("copy", "as52"), ("part", "as52"), ("part", "copy"))
    ]


def test_a_path_inside_a_recipes_folder_uses_that_folder(folder: Path) -> None:
    platform = folder / "platforms" / "ampr_small.toml"
    platform.write_text(platform.read_text().replace('high = "30 mV"', 'high = "31 mV"'))
    recipe = compile_file(folder / "packs" / "as52.toml", RecipeBook())
    step = next(step for step in recipe.eol if step.run == "cells_at_rest")
    assert step.limits["cell_spread"].high == 0.031


def test_a_loose_file_extends_what_lies_beside_it_or_what_is_installed(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
    (tmp_path / "b.toml").write_text('extends = "packs/as52.toml"\n[pack]\nrevision = "b"\n')
    recipe = compile_file(tmp_path / "a.toml", RecipeBook())
    assert (recipe.revision, recipe.provenance["pack.revision"].file) == ("b", "b.toml")


def test_loose_files_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n')
    with pytest.raises(RecipeError, match="cyclic"):
        compile_file(tmp_path / "a.toml", RecipeBook())


def test_the_image_of_every_pack_is_the_one_that_its_recipe_names() -> None:
    book = RecipeBook()
    for pack in ("AS40", "AS52", "AM60"):
        assert len(book.image(book.by_pack(pack))) > 1024


IMAGE = "firmware/sw0152_0007.bin"
FLASH = "stacking.bms_flash.params"
ELSEWHERE = "name a file of the recipes folder"


def place(folder: Path, parameter: str) -> str:
    """File and line of a parameter of step bms_flash of AS52."""
    lines = (folder / "packs" / "as52.toml").read_text().splitlines()
    (line,) = (number for number, line in enumerate(lines, 1) if line.startswith(f"params.{parameter} ="))
    return f"packs/as52.toml:{line}: {FLASH}.{parameter}"


def renamed(folder: Path, image: str) -> None:
    pack = folder / "packs" / "as52.toml"
    pack.write_text(pack.read_text().replace(f'"{IMAGE}"', f'"{image}"'))


def refused(folder: Path) -> str:
    """The one finding of AS52 in a folder; found by its id and by its path alike."""
    found = []
    for attempt in (
        lambda: RecipeBook(folder).by_pack("AS52"),
        lambda: compile_file(folder / "packs" / "as52.toml", RecipeBook()),
    ):
        with pytest.raises(RecipeError) as error:
            attempt()
        found += error.value.findings
    assert len(found) == 2
    assert found[0] == found[1]
    return found[0]


def test_an_image_that_is_missing_is_refused_where_it_is_named(folder: Path) -> None:
    (folder / IMAGE).unlink()
    what = "cannot be read (no such file); put it there, or correct the name"
    assert refused(folder) == f"{place(folder, 'image')}: '{IMAGE}' {what}"
    assert RecipeBook(folder).by_pack("AS40").id == "AS40"


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("firmware", "a directory"),
        ("../outside.bin", "outside the recipes folder"),
        ("/etc/passwd", "outside the recipes folder"),
        ("firmware/link.bin", "outside the recipes folder"),
        ("firmware/pipe.bin", "not a regular file"),
        ("a\\u0000b", "no file can have that name"),
        ("a" * 300, "File name too long"),
    ],
)
def test_an_image_that_is_no_file_of_the_folder_is_refused(folder: Path, image: str, why: str) -> None:
    (folder.parent / "outside.bin").write_bytes((folder / IMAGE).read_bytes())
    (folder / "firmware" / "link.bin").symlink_to(folder.parent / "outside.bin")
    os.mkfifo(folder / "firmware" / "pipe.bin")
    renamed(folder, image)
    finding = refused(folder)
    assert finding.startswith(f"{place(folder, 'image')}: ")
    assert finding.endswith(f" cannot be read ({why}); {ELSEWHERE}")


def test_an_image_that_may_not_be_read_is_told_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(path: Path) -> None:
        if path.suffix == ".bin":
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("bmsctl.compose.recipes.check_regular", check)
    what = "cannot be read (Permission denied); let the station read it"
    assert refused(folder) == f"{place(folder, 'image')}: '{IMAGE}' {what}"


def test_another_image_is_refused_with_both_hashes(folder: Path) -> None:
    (step,) = (step for step in RecipeBook().by_pack("AS52").stacking if step.run == "bms_flash")
    (folder / IMAGE).write_bytes(b"another")
    found = hashlib.sha256(b"another").hexdigest()
    remedy = "put the released image there, or correct image_sha256 by its release note"
    what = f"{step.text('image_sha256')} here, but '{IMAGE}' has {found}; {remedy}"
    assert refused(folder) == f"{place(folder, 'image_sha256')}: {what}"


def test_an_image_that_is_too_large_is_refused(folder: Path) -> None:
    os.truncate(folder / IMAGE, IMAGE_BYTES_MAX + 1)
    what = f"'{IMAGE}' has more than 64 MiB; name the BMS's software"
    assert refused(folder) == f"{place(folder, 'image')}: {what}"


def test_a_pack_that_is_wrong_in_itself_is_not_asked_for_its_image(folder: Path) -> None:
    (folder / IMAGE).unlink()
    pack = folder / "packs" / "as52.toml"
    pack.write_text(
        pack.read_text().replace('nominal_voltage = { value = "350 V"', 'nominal_voltage = { value = "350 A"')
    )
    assert "pack.nominal_voltage" in refused(folder)


def test_a_loose_file_names_an_image_beside_it_or_one_that_is_installed(tmp_path: Path) -> None:
    loose = tmp_path / "a.toml"
    override = 'extends = "packs/as52.toml"\n[[stacking.step]]\nrun = "bms_flash"\n'
    sha256 = f'params.image_sha256 = "{hashlib.sha256(b"beside").hexdigest()}"\n'
    loose.write_text(override)
    assert compile_file(loose, RecipeBook()).id == "AS52"
    loose.write_text(override + 'params.image = "mine.bin"\n' + sha256)
    with pytest.raises(RecipeError) as missing:
        compile_file(loose, RecipeBook())
    what = "'mine.bin' cannot be read (no such file); put it there, or correct the name"
    assert missing.value.findings == [f"{loose}:4: {FLASH}.image: {what}"]
    (tmp_path / "mine.bin").mkdir()
    with pytest.raises(RecipeError, match=rf"cannot be read \(a directory\); {ELSEWHERE}"):
        compile_file(loose, RecipeBook())
    (tmp_path / "mine.bin").rmdir()
    (tmp_path / "mine.bin").write_bytes(b"beside")
    assert compile_file(loose, RecipeBook()).id == "AS52"


def test_a_recipe_from_a_record_names_itself_where_its_image_is_not(tmp_path: Path) -> None:
    recipe = Recipe.from_json(RecipeBook().by_pack("AS52").to_json())
    book = RecipeBook(tmp_path)
    with pytest.raises(RecipeError, match=rf"^recipe AS52: {FLASH}\.image: '{IMAGE}' cannot be read \(no such file\)"):
        book.image(recipe)
    (tmp_path / "firmware").mkdir()
    (tmp_path / IMAGE).write_bytes(b"another")
    with pytest.raises(
        RecipeError, match=rf"^recipe AS52: {FLASH}\.image_sha256: [0-9a-f]{{64}} here, but '{IMAGE}' has"
    ):
        book.image(recipe)
