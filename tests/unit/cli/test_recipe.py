"""`bmsctl recipe`: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.recipe import recipe
from bmsctl.compose.recipes import RecipeBook
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
    assert "platforms/ampr_small.toml:83" in line
    assert "estimate: good packs spread over 4 to 8 mV" in line
    owner = next(line for line in lines if line.startswith("eol.bms_identity.params.dtc_owners.1BA2"))
    assert owner.split()[1] == "precharge"


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
