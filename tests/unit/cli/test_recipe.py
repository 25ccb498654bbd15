"""`bmsctl recipe`: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.recipe import recipe
from bmsctl.compose.recipes import INSTALLED, RecipeBook
from bmsctl.domain.recipe import Recipe

BROKEN = 'extends = "packs/as52.toml"\n[[eol.step]]\nrun = "precharge"\nlimits.end_ratio.low = "98 V"\n'


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(recipe, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.toml"
    path.write_text(BROKEN)
    return str(path)


def test_check_a_pack() -> None:
    result = call("check", "AS52")
    sha256 = RecipeBook().by_pack("AS52").sha256
    assert (result.exit_code, result.stdout) == (0, f"AS52: ok, AS52 revision 1, sha256 {sha256}\n")


def test_check_without_a_name_checks_all_packs() -> None:
    result = call("check")
    assert result.exit_code == 0
    assert "as52.toml: ok, AS52 revision 1" in result.stdout


def test_check_refuses_with_file_line_key_and_remedy(broken: str) -> None:
    result = call("check", broken, "AS52")
    assert result.exit_code == 1
    assert f"{broken}:4: eol.precharge.limits.end_ratio.low: '98 V' is not in %; give it in %\n" in result.stderr
    assert "AS52: ok" in result.stdout


def test_check_as_json(broken: str) -> None:
    result = call("check", "--json", "AS52", broken)
    good, bad = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (good["name"], good["recipe"]["id"], good["findings"]) == ("AS52", "AS52", [])
    assert (bad["name"], bad["recipe"]) == (broken, None)
    assert bad["findings"][0].startswith(f"{broken}:4: ")


@pytest.mark.parametrize("command", ["check", "show"])
@pytest.mark.parametrize("name", ["AS99", "none.toml", "./none", "/"])
def test_what_does_not_exist_is_a_usage_error(command: str, name: str) -> None:
    result = call(command, name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert name in result.stderr


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_file_is_found_under_the_name_that_show_prints(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(command, "packs/as52.toml")
    assert result.exit_code == 0
    assert "AS52" in result.stdout


@pytest.mark.parametrize("command", ["check", "show"])
def test_what_is_no_file_is_called_what_it_is(command: str, tmp_path: Path) -> None:
    names = {name: str(tmp_path / f"{name}.toml") for name in ("folder", "pipe", "loop", "l" * 300)}
    os.mkdir(names["folder"])
    os.mkfifo(names["pipe"])
    os.symlink(names["loop"], names["loop"])
    what = ("a directory", "not a regular file", "Too many levels of symbolic links", "File name too long")
    for name, said in zip(names.values(), what, strict=True):
        result = call(command, name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"{name}: {said}; name a recipe file" in result.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipes folder of one's own."""
    return Path(shutil.copytree(INSTALLED, tmp_path / "recipes"))


def test_check_without_a_name_checks_the_vehicles_too(folder: Path) -> None:
    (folder / "vehicles.toml").write_text('a = "AS52"\nb = "AS99"\n')
    result = call("check", "--recipes", str(folder))
    assert result.exit_code == 1
    assert "as52.toml: ok" in result.stdout
    assert "vehicles.toml:2: b: no recipe for pack 'AS99'; name a pack that has one\n" in result.stderr
    bad = json.loads(call("check", "--json", "--recipes", str(folder)).stdout)[-1]
    assert (bad["name"], bad["recipe"], len(bad["findings"])) == (str(folder / "vehicles.toml"), None, 1)


def test_check_without_a_name_finds_recipes_in_effect_from_the_same_day(folder: Path) -> None:
    (folder / "packs" / "copy.toml").write_text('extends = "packs/as52.toml"\n')
    result = call("check", "--recipes", str(folder))
    assert result.exit_code == 1
    assert "packs/copy.toml:1: pack.effective_from: in effect from the same day as packs/as52.toml" in result.stderr


def test_check_without_a_name_goes_on_after_a_link_to_itself(folder: Path) -> None:
    (folder / "packs" / "loop.toml").symlink_to(folder / "packs" / "loop.toml")
    result = call("check", "--recipes", str(folder))
    assert result.exit_code == 1
    assert "as52.toml: ok" in result.stdout
    assert "packs/loop.toml:1: file: packs/loop.toml cannot be read (Too many levels" in result.stderr


def test_a_folder_needs_no_vehicles(folder: Path) -> None:
    (folder / "vehicles.toml").unlink()
    assert call("check", "--recipes", str(folder)).exit_code == 0


def test_show_as_json_is_the_recipe_and_its_origins() -> None:
    values = json.loads(call("show", "AS52", "--json").stdout)
    provenance = values.pop("provenance")
    assert Recipe.from_json(values) == RecipeBook().by_pack("AS52")
    assert provenance["pack.id"] == {"file": "packs/as52.toml", "line": 5, "text": "AS52", "why": ""}


def test_show_on_a_pipe_is_plain_and_tells_every_value() -> None:
    result = call("show", "AS52")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert len(lines) == 4 + len(RecipeBook().by_pack("AS52").provenance)
    line = next(line for line in lines if line.startswith("eol.cells_at_rest.limits.cell_spread.high"))
    assert line.split("  ")[1:] != []
    assert "0.03 V guarded" in line
    assert "30 mV" in line
    origin = RecipeBook().by_pack("AS52").provenance["eol.cells_at_rest.limits.cell_spread.high"]
    assert f"platforms/ampr_small.toml:{origin.line} " in line
    assert "estimate: good packs spread over 4 to 8 mV" in line
    owner = next(line for line in lines if line.startswith("eol.bms_identity.params.dtc_owners.1BA2"))
    assert owner.split()[1] == "insulation_live"


def test_show_refuses_what_check_refuses(broken: str) -> None:
    result = call("show", broken)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "give it in %" in result.stderr


def test_another_folder_replaces_the_installed_recipes(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    for arguments in (["check", "AS52"], ["show", "AS52"], ["check"]):
        result = CliRunner().invoke(recipe, arguments, env={"BMSCTL_RECIPES": str(tmp_path)})
        assert result.exit_code == 2


def test_help_needs_no_recipe_code() -> None:
    script = "import sys, bmsctl.cli.recipe; print([name for name in sys.modules if name.startswith('bmsctl.domain')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
