"""`bmsctl recipe diff`: what an engineer types, and what it answers."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.recipe import recipe
from bmsctl.compose.recipes import INSTALLED, RecipeBook


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(recipe, ["diff", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The recipes, with a looser resistance and other BMS software in AS52."""
    folder = Path(shutil.copytree(INSTALLED, tmp_path / "recipes"))
    path = folder / "packs" / "as52.toml"
    text = path.read_text()
    for old, new in (('high = "71.25 mOhm"', 'high = "72 mOhm"'), ('"SW0152"', '"SW0153"')):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return folder


def line_of(text: str) -> int:
    lines = (INSTALLED / "packs" / "as52.toml").read_text().splitlines()
    return next(n for n, line in enumerate(lines, start=1) if text in line)


def test_a_folder_of_an_earlier_release(folder: Path) -> None:
    result = call("AS52", "--recipes", str(folder), "--old-recipes", str(INSTALLED))
    assert result.exit_code == 0
    flash, identity = (line_of(f'run = "{name}"') for name in ("bms_flash", "bms_identity"))
    assert result.stdout.splitlines() == [
        "stacking",
        f"  bms_flash.software SW0152 -> SW0153  (packs/as52.toml:{flash + 3})",
        "eol",
        f"  bms_identity.software SW0152 -> SW0153  (packs/as52.toml:{identity + 3})",
        "  dcir.pack_resistance high 71.25 -> 72 mOhm: 1.1 % looser  "
        f"(packs/as52.toml:{line_of('limits.pack_resistance')})",
        "1 looser, 2 neither",
    ]
    assert result.stderr == "bmsctl: revision 1 in both; give the new recipe another revision\n"


def test_two_files(folder: Path) -> None:
    result = call(str(INSTALLED / "packs" / "as52.toml"), str(folder / "packs" / "as52.toml"))
    assert result.exit_code == 0
    assert "1.1 % looser" in result.stdout


def test_as_json(folder: Path) -> None:
    told = json.loads(call("AS52", "AS52", "--recipes", str(folder), "--old-recipes", str(INSTALLED), "--json").stdout)
    assert told["old"]["sha256"] == RecipeBook().by_pack("AS52").sha256
    assert told["new"]["sha256"] == RecipeBook(folder).by_pack("AS52").sha256
    assert told["counts"] == {"tighter": 0, "looser": 1, "neither": 2}
    assert told["revision_reused"] is True
    change = told["changes"][2]
    assert change["origin"].pop("line") == line_of("limits.pack_resistance")
    assert change["origin"].pop("why") == "estimate: 57 mOhm ± 25 % at 25 °C"
    assert change == {
        "key": "eol.dcir.limits.pack_resistance.high",
        "what": "limit",
        "old": "71.25 mOhm",
        "new": "72 mOhm",
        "effect": "looser",
        "text": "dcir.pack_resistance high 71.25 -> 72 mOhm: 1.1 % looser",
        "origin": {"file": "packs/as52.toml", "text": "72 mOhm"},
    }


def test_no_difference() -> None:
    result = call("AS52", "AS52")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "no difference\n", "")
    assert json.loads(call("AS52", "AS52", "--json").stdout)["changes"] == []


def test_two_packs() -> None:
    result = call("AS52", "AM60")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == ["pack", "  pack.id AS52 -> AM60  (packs/am60.toml:5)"]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("AS52",), "there is nothing to compare with"),
        ((), "Missing argument 'OLD'"),
        (("AS52", "AS99"), "AS99: no such pack; known: "),
        (("AS99", "AS52"), "AS99: no such pack; known: "),
        (("AS52", "none.toml"), "none.toml: no such file"),
        (("AS52", "/"), "/: a directory; name a recipe file"),
        (("AS52", "a\0b.toml"), "no file can have that name"),
        (("AS52", "AS40", "AM60"), "unexpected extra argument"),
        (("AS52", "--old-recipes", "/none"), "'/none' does not exist"),
    ],
)
def test_usage(arguments: tuple[str, ...], said: str) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_recipe_that_cannot_be_compiled_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text('extends = "packs/as52.toml"\n[[eol.step]]\nrun = "precharge"\nlimits.end_ratio.low = "98 V"\n')
    for arguments in (("AS52", str(path)), (str(path), "AS52")):
        result = call(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{path}:4: eol.precharge.limits.end_ratio.low: '98 V' is not in %" in result.stderr


def test_a_file_beside_its_platform_is_compared_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert call(os.path.join("packs", "as52.toml"), "AM60", "--recipes", str(folder)).exit_code == 0
